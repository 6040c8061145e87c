"""Schedules: written down, found, moved along, suspended and removed.

The tick holds a schedule's row from the look at its instant to the commit of its requests. So does whoever pauses,
resumes or removes it: they come before or after, and never in between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from release_worker.domain import canonical_json
from release_worker.domain.schedules.schedule import Schedule
from release_worker.store.owners.naming import organization_named
from release_worker.store.owners.scopes import slug_of, target_of
from release_worker.store.statements import parsed

_COLUMNS = f"""
    s.id, s.name, {slug_of("s")} AS organization, {target_of("s")} AS target, s.organization_id, s.project_id,
    s.toolset_id, s.kind, s.arguments, s.cron, s.fire_at, s.timezone, s.misfire, s.catch_up_seconds, s.overlap,
    s.enabled, s.next_fire_at, s.last_fire_at, s.held_fire_at, s.held_until, s.suspended_reason, s.created_by,
    s.created_at
"""
_ACTIVE = "s.enabled AND s.suspended_reason IS NULL"
# A row without a next instant was written with SQL, or waits for the end of a freeze with its only one.
_DUE = (
    f"{_ACTIVE} AND (s.next_fire_at <= {{at}} OR s.held_until <= {{at}}"
    " OR s.next_fire_at IS NULL AND s.held_until IS NULL)"
)
# A test may say what time it is; otherwise one clock counts, whatever worker looks at it.
_AT = "coalesce(CAST(:at AS timestamptz), clock_timestamp())"


def due_schedules(connection: Connection, *, at: datetime | None, limit: int) -> list[UUID]:
    """The ids of schedules whose instant has come, the longest due; nothing of what they hold is read. Rollbacks come
    last: they are planned first, and that may take a while."""
    query = f"""
        WITH due AS (
            SELECT s.id, s.kind = 'rollback' AS planned, least(s.next_fire_at, s.held_until) AS since
            FROM ours.release_schedules s, (SELECT {_AT} AS now) AS clock
            WHERE {_DUE.format(at="clock.now")}
            ORDER BY since, s.id LIMIT :limit)
        SELECT id FROM due ORDER BY planned, since, id
    """
    return list(connection.execute(parsed(query), {"at": at, "limit": limit}).scalars())


def take_due(connection: Connection, schedule_id: UUID, *, at: datetime | None) -> tuple[Schedule, datetime] | None:
    """Hold a schedule whose instant has come, until the transaction ends, and say what time it is. None if another
    tick holds it or was here before, or if somebody has removed or stopped it."""
    query = f"""
        SELECT {_COLUMNS}, clock.now FROM ours.release_schedules s, (SELECT {_AT} AS now) AS clock
        WHERE s.id = :id AND {_DUE.format(at="clock.now")}
        FOR NO KEY UPDATE OF s SKIP LOCKED
    """
    row = connection.execute(parsed(query), {"id": schedule_id, "at": at}).one_or_none()
    if row is None:
        return None
    *_, now = row
    return _schedule_of(row), now


def schedule_of_id(connection: Connection, schedule_id: UUID, *, hold: bool = False) -> Schedule | None:
    """The schedule of this id; with `hold`, nobody else changes it until the transaction ends."""
    held = "FOR NO KEY UPDATE OF s" if hold else ""
    query = f"SELECT {_COLUMNS} FROM ours.release_schedules s WHERE s.id = :id {held}"
    row = connection.execute(parsed(query), {"id": schedule_id}).one_or_none()
    return None if row is None else _schedule_of(row)


def list_schedules(
    connection: Connection, *, name: str | None = None, organization: str | None = None
) -> Sequence[Schedule]:
    """By organization and name; those of one name and of one organization, a slug or an id, if given."""
    query = f"""
        SELECT {_COLUMNS} FROM ours.release_schedules s
        WHERE (CAST(:name AS text) IS NULL OR s.name = :name)
          AND (CAST(:organization AS text) IS NULL OR s.organization_id = {organization_named(":organization")})
        ORDER BY organization, s.name
    """
    rows = connection.execute(parsed(query), {"name": name, "organization": organization})
    return [_schedule_of(row) for row in rows]


def insert_schedule(connection: Connection, columns: Mapping[str, Any]) -> None:
    """Write a schedule down; `columns` has what it is given. Does nothing if there is one of this id, or if the
    organization has one of this name."""
    insert = """
        INSERT INTO ours.release_schedules (
            id, organization_id, project_id, toolset_id, name, kind, arguments, cron, fire_at, timezone, misfire,
            catch_up_seconds, overlap, next_fire_at, created_by)
        VALUES (
            :id, :organization_id, :project_id, :toolset_id, :name, :kind, CAST(:arguments AS jsonb), :cron, :fire_at,
            :timezone, :misfire, :catch_up_seconds, :overlap, :next_fire_at, :created_by)
        ON CONFLICT DO NOTHING
    """
    given = {**columns, "arguments": canonical_json.dumps(columns["arguments"])}
    connection.execute(parsed(insert), given)


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is ahead of a schedule: its next instant, the one that was fired last (None: as before), and the one that
    waits for the end of a freeze, with the moment at which the tick looks again."""

    next_fire_at: datetime | None
    last_fire_at: datetime | None = None
    held_fire_at: datetime | None = None
    held_until: datetime | None = None


def move_on(connection: Connection, schedule: Schedule, ahead: Ahead) -> None:
    """Say what is ahead of it; if nothing is, the schedule is done."""
    update = """
        UPDATE ours.release_schedules
        SET next_fire_at = :next_fire_at, last_fire_at = coalesce(:last_fire_at, last_fire_at),
            held_fire_at = :held_fire_at, held_until = :held_until,
            enabled = coalesce(CAST(:next_fire_at AS timestamptz), CAST(:held_fire_at AS timestamptz)) IS NOT NULL
        WHERE id = :id
    """
    connection.execute(parsed(update), {"id": schedule.id, **asdict(ahead)})


def start(connection: Connection, schedule: Schedule, next_fire_at: datetime) -> None:
    """Let a schedule fire from this instant on, whatever had stopped it."""
    update = """
        UPDATE ours.release_schedules
        SET enabled = true, suspended_reason = NULL, next_fire_at = :next_fire_at, held_fire_at = NULL,
            held_until = NULL
        WHERE id = :id
    """
    connection.execute(parsed(update), {"id": schedule.id, "next_fire_at": next_fire_at})


def stop(connection: Connection, schedule: Schedule) -> None:
    """Let a schedule fire no more."""
    update = """
        UPDATE ours.release_schedules SET enabled = false, next_fire_at = NULL, held_fire_at = NULL, held_until = NULL
        WHERE id = :id
    """
    connection.execute(parsed(update), {"id": schedule.id})


def suspend(connection: Connection, schedule_id: UUID, reason: str, *, at: datetime | None) -> Row[Any] | None:
    """Say why a schedule that is due cannot fire; `name` and the ids of its scope. None if it is no longer due, or
    suspended already."""
    update = f"""
        UPDATE ours.release_schedules s SET suspended_reason = :reason, held_fire_at = NULL, held_until = NULL
        FROM (SELECT {_AT} AS now) AS clock
        WHERE s.id = :id AND {_DUE.format(at="clock.now")}
        RETURNING s.name, s.organization_id, s.project_id, s.toolset_id
    """
    parameters = {"id": schedule_id, "reason": reason, "at": at}
    return connection.execute(parsed(update), parameters).one_or_none()


def delete_schedule(connection: Connection, schedule: Schedule) -> None:
    """Remove it. The requests that it has made stay."""
    connection.execute(parsed("DELETE FROM ours.release_schedules WHERE id = :id"), {"id": schedule.id})


def _schedule_of(row: Row[Any]) -> Schedule:
    return Schedule(**{name: value for name, value in row._mapping.items() if name != "now"})
