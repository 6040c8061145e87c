"""Have these toolsets drifted, at this moment?"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from release_worker.domain.database import Database
from release_worker.domain.requests.check_drift import CheckDrift
from release_worker.queries.check_drift import check_drift
from release_worker.queries.toolsets import ListedToolset
from release_worker.state.registry import Registry
from release_worker.state.work import Work
from release_worker.store.engine import make_engine
from release_worker.store.live_snapshot import live_snapshot_transaction


def drift_now(database: Database | str, registry: Registry, listed: Sequence[ListedToolset]) -> list[ListedToolset]:
    """The same toolsets, with what is found now: each in a snapshot of its own. Raises ToolsetNotFound for one that was
    deleted meanwhile."""
    engine = make_engine(database, application_name="release-worker")
    found = []
    try:
        for one in listed:
            with live_snapshot_transaction(engine) as connection:
                work = Work(connection, one.id, registry)
                drift = check_drift(work, CheckDrift(toolset=str(one.id)))
            found.append(replace(one, drifted=drift.drifted, drift_found_at=datetime.now(UTC)))
    finally:
        engine.dispose()
    return found
