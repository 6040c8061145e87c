"""Verify the histories of all toolsets, one after the other."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from release_worker.domain.database import Database
from release_worker.domain.requests.verify import VerifyResult
from release_worker.queries.toolsets import released_toolsets
from release_worker.queries.verify import verify_toolset
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.store.live_snapshot import records_snapshot_transaction
from release_worker.store.stored import StoredPart


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one toolset, which may be deleted; `toolsets` is how many there are in all."""

    path: str
    toolsets: int
    result: VerifyResult


def verify_all(database: Database | str, *, organization: str | None = None) -> Iterator[Verified]:
    """Verify every toolset that has releases, of one organization (a slug or an id) if given, each in a snapshot of its
    own: so many digests take their time. What toolsets share is digested once."""
    engine = make_engine(database, application_name="release-worker")
    verified: dict[UUID, StoredPart] = {}
    try:
        with ledger_transaction(engine) as connection:
            toolsets = released_toolsets(connection, organization=organization)
        for toolset in toolsets:
            with records_snapshot_transaction(engine) as connection:
                result = verify_toolset(connection, toolset.id, verified)
            yield Verified(toolset.path, len(toolsets), result)
    finally:
        engine.dispose()
