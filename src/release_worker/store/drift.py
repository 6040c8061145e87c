"""Drift, as it was seen last: whom to look at next, and what was seen."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from release_worker.store.owners.relations import LIVE, OWNED, POINTED_AT
from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a toolset last, beside the release of this id; None before the first look."""

    toolset_id: UUID
    release_id: UUID | None
    drifted: bool


def enrol_toolsets(connection: Connection) -> datetime:
    """Give each living toolset with a current release a row, and take away the others' rows. Returns the time."""
    enrol = f"""
        INSERT INTO ours.toolset_drift (toolset_id)
        SELECT t.id FROM {OWNED}
        WHERE {LIVE} AND {POINTED_AT} IS NOT NULL
          AND NOT EXISTS (SELECT FROM ours.toolset_drift WHERE toolset_id = t.id)
        ORDER BY t.id
        ON CONFLICT DO NOTHING
    """
    leave = f"""
        DELETE FROM ours.toolset_drift WHERE toolset_id IN (
            SELECT toolset_id FROM ours.toolset_drift AS seen
            WHERE NOT EXISTS (
                SELECT FROM {OWNED} WHERE t.id = seen.toolset_id AND {LIVE} AND {POINTED_AT} IS NOT NULL)
            FOR UPDATE SKIP LOCKED)
    """
    connection.execute(parsed(enrol))
    connection.execute(parsed(leave))
    now: datetime = connection.execute(parsed("SELECT clock_timestamp()")).scalar_one()
    return now


def take_oldest_look(connection: Connection, *, before: datetime) -> Seen | None:
    """Hold the row of the toolset whose last look is the longest ago, and before this time. None if there is none but
    those that others hold."""
    query = """
        SELECT toolset_id, release_id, drifted FROM ours.toolset_drift
        WHERE checked_at IS NULL OR checked_at < :before
        ORDER BY checked_at NULLS FIRST, toolset_id LIMIT 1
        FOR UPDATE SKIP LOCKED
    """
    row = connection.execute(parsed(query), {"before": before}).one_or_none()
    return None if row is None else Seen(*row)


def note_look(
    connection: Connection, toolset_id: UUID, release_id: UUID, *, components: list[str] | None, turned: bool
) -> None:
    """Write down what was seen: the components that differ from the release, None if it has not drifted. `turned`: it
    has drifted since this look."""
    note = """
        UPDATE ours.toolset_drift
        SET release_id = :release_id, drifted = :drifted, components = :components, failed = NULL,
            since = CASE WHEN :turned THEN clock_timestamp() WHEN :drifted THEN since END,
            checked_at = clock_timestamp()
        WHERE toolset_id = :toolset_id
    """
    parameters = {
        "toolset_id": toolset_id,
        "release_id": release_id,
        "drifted": components is not None,
        "components": components or [],
        "turned": turned,
    }
    connection.execute(parsed(note), parameters)


def note_failed_look(connection: Connection, toolset_id: UUID, reason: str) -> None:
    """Write down why a look told nothing. What was seen before stays, and it is the others' turn."""
    note = """
        UPDATE ours.toolset_drift SET failed = :reason, checked_at = clock_timestamp() WHERE toolset_id = :toolset_id
    """
    connection.execute(parsed(note), {"toolset_id": toolset_id, "reason": reason})


def forget_look(connection: Connection, toolset_id: UUID) -> None:
    """Take a toolset's row away: it has no current release any more."""
    connection.execute(parsed("DELETE FROM ours.toolset_drift WHERE toolset_id = :id"), {"id": toolset_id})


def count_drifted(connection: Connection) -> int:
    """How many living toolsets had drifted when they were looked at last."""
    query = f"""
        SELECT count(*) FROM ours.toolset_drift AS seen JOIN {OWNED} ON t.id = seen.toolset_id WHERE drifted AND {LIVE}
    """
    return int(connection.execute(parsed(query)).scalar_one())
