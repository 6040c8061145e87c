"""Schedules: added as an app does or with SQL, and ticks at a time that a test says."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Row, text
from uuid_utils.compat import uuid7

from release_worker.domain.requests.kinds import validated
from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.domain.schedules.schedule import NewSchedule, Schedule
from release_worker.operations.schedules.managing import add_schedule
from release_worker.operations.schedules.tick import Publish, Ticked, TickPolicy, tick
from release_worker.state.registry import built_in_components
from release_worker.store.engine import ledger_transaction
from tests.support.operations import ACTOR
from tests.support.world import Toolset

# A year in which no test runs.
NOON = datetime(2100, 6, 1, 12, tzinfo=UTC)


def add(engine: Engine, toolset: Toolset | None = None, name: str = "nightly", **fields: Any) -> Schedule:
    """Add a schedule, by default one of this toolset that fires each minute."""
    given = {"toolset": toolset.path} if toolset is not None else {}
    when = {} if "at" in fields else {"cron": "* * * * *"}
    new = validated(NewSchedule, {"name": name, "actor": ACTOR, **given, **when, **fields})
    with ledger_transaction(engine) as connection:
        return add_schedule(connection, new, uuid7())


def due_at(engine: Engine, schedule: Schedule, instant: datetime) -> None:
    """Let this be its next instant."""
    change(engine, schedule.id, next_fire_at=instant)


def change(engine: Engine, schedule_id: UUID, **columns: Any) -> None:
    """Write columns as anyone may whom the grants allow to."""
    assignments = ", ".join(f"{name} = :{name}" for name in columns)
    with engine.begin() as connection:
        connection.execute(
            text(f"UPDATE release_schedules SET {assignments} WHERE id = :id"), {"id": schedule_id, **columns}
        )


def insert(engine: Engine, toolset: Toolset, **columns: Any) -> UUID:
    """Write a row with SQL."""
    values = {
        "organization_id": toolset.project.organization.id,
        "toolset_id": toolset.id,
        "name": "by-hand",
        "created_by": "dba",
        **columns,
    }
    names = ", ".join(values)
    places = ", ".join(f":{name}" if name != "arguments" else "CAST(:arguments AS jsonb)" for name in values)
    query = text(f"INSERT INTO release_schedules ({names}) VALUES ({places}) RETURNING id")
    with engine.begin() as connection:
        made: UUID = connection.execute(query, values).scalar_one()
    return made


def row(engine: Engine, schedule: Schedule | UUID) -> Row[Any]:
    """The row as it is now."""
    schedule_id = schedule if isinstance(schedule, UUID) else schedule.id
    with engine.connect() as connection:
        return connection.execute(text("SELECT * FROM release_schedules WHERE id = :id"), {"id": schedule_id}).one()


def unheard(_made: ScheduledRequest) -> None:
    """A publisher that keeps nothing."""


def ticked(engine: Engine, at: datetime = NOON, publish: Publish = unheard, **policy: Any) -> Ticked:
    """One tick at this time."""
    return tick(engine, built_in_components(), publish, TickPolicy(at=at, **policy))


def keys(engine: Engine) -> Sequence[str]:
    """The idempotency keys of all requests, in `seq` order."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT idempotency_key FROM release_requests ORDER BY seq")).scalars())
