"""Look whether toolsets have drifted, the one whose last look is the longest ago first, and tell when one has."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine

from release_worker.domain.events import Event
from release_worker.domain.text import printable
from release_worker.errors import DatabaseUnavailable, ReleaseWorkerError, VersionConflict
from release_worker.queries.drifted import drifted_components
from release_worker.state.blame import blaming
from release_worker.state.registry import Registry
from release_worker.store.conflicts import without_values
from release_worker.store.drift import Seen, enrol_toolsets, forget_look, note_failed_look, note_look, take_oldest_look
from release_worker.store.engine import ledger_transaction
from release_worker.store.events import add_event
from release_worker.store.live_snapshot import live_snapshot_transaction
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.releases import current_release

LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """`limit`: how many toolsets one pass looks at; `longest`: seconds after which it ends."""

    limit: int = 1000
    longest: float = 30.0


@dataclass(slots=True)
class Watched:
    """How many toolsets were looked at, which of them have drifted since, and why a look told nothing, by toolset."""

    looked_at: int = 0
    turned: list[UUID] = field(default_factory=list)
    failed: dict[UUID, str] = field(default_factory=dict)


def watch_drift(engine: Engine, registry: Registry, policy: WatchPolicy | None = None) -> Watched:
    """Look at each living toolset with a current release, each in a snapshot of its own; when one turns drifted, the
    event `drift.detected` is written in the same transaction as that.

    Any number of passes may run at once: each takes what nobody holds. One that meets what another has just looked at,
    or a table that is held, ends; a later one goes on. A toolset whose look fails has its turn after the others again.
    Raises DatabaseUnavailable.
    """
    policy = policy or WatchPolicy()
    watched = Watched()
    ends = time.monotonic() + policy.longest
    with ledger_transaction(engine) as connection:
        began = enrol_toolsets(connection)
    while watched.looked_at < policy.limit and time.monotonic() < ends:
        if not _look_at_next(engine, registry, began, watched):
            break
    return watched


def _look_at_next(engine: Engine, registry: Registry, began: datetime, watched: Watched) -> bool:
    """Look at one; False if there is none left, or none can be looked at now."""
    seen: Seen | None = None
    try:
        # REPEATABLE READ: live state and the release that is current are those of one moment.
        with live_snapshot_transaction(engine) as connection:
            seen = take_oldest_look(connection, before=began)
            if seen is None:
                return False
            with blaming(engine, registry, str(seen.toolset_id)):
                turned = _look(connection, registry, seen)
        watched.turned += [seen.toolset_id] if turned else []
    except DatabaseUnavailable:
        raise
    except VersionConflict:  # another pass was first, or somebody alters a table: a later pass goes on
        return False
    except Exception as error:  # a defect, perhaps of a plug-in: it fails this look, and not those after it
        if seen is None:
            raise
        watched.failed[seen.toolset_id] = _reason(error)
        with ledger_transaction(engine) as connection:
            note_failed_look(connection, seen.toolset_id, watched.failed[seen.toolset_id])
    watched.looked_at += 1
    return True


def _look(connection: Connection, registry: Registry, seen: Seen) -> bool:
    """Whether the toolset has drifted from this release only now."""
    subject = toolset_of_id(connection, seen.toolset_id)
    current = current_release(connection, subject)
    if current is None:
        forget_look(connection, seen.toolset_id)
        return False
    components = drifted_components(connection, subject, current, registry)
    turned = components is not None and not (seen.drifted and seen.release_id == current.id)
    note_look(connection, seen.toolset_id, current.id, components=components, turned=turned)
    if turned:
        data = {"release_number": current.release_number, "components": components}
        add_event(connection, Event("drift.detected", data, toolset_id=seen.toolset_id))
    return turned


def _reason(error: Exception) -> str:
    told = error if isinstance(error, ReleaseWorkerError) else without_values(error)
    return printable(f"{type(error).__name__}: {told}", LONGEST_REASON)
