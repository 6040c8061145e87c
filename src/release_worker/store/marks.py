"""What people said of releases: rows that are only ever added. The newest of a release counts."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.requests.mark import Mark
from release_worker.store.statements import parsed


def mark_of(release: str) -> str:
    """SQL: `good`, `bad`, or NULL: what was said last of the release whose id is the expression `release`."""
    return f"""(
        SELECT said.mark FROM ours.release_marks AS said
        WHERE said.release_id = {release} ORDER BY said.created_at DESC, said.id DESC LIMIT 1)"""


def said_of(release: str) -> str:
    """SQL: `{mark, reason, marked_by}` as `jsonb`, or NULL: what was said last of a release, and by whom."""
    return f"""(
        SELECT jsonb_build_object('mark', said.mark, 'reason', said.reason, 'marked_by', said.marked_by)
        FROM ours.release_marks AS said
        WHERE said.release_id = {release} ORDER BY said.created_at DESC, said.id DESC LIMIT 1)"""


def insert_mark(connection: Connection, release_id: UUID, said: Mark, *, request_id: str | None) -> None:
    """Add what a request says of a release."""
    insert = """
        INSERT INTO ours.release_marks (release_id, mark, reason, marked_by, request_id, created_at)
        VALUES (:release_id, :mark, :reason, :marked_by, :request_id, clock_timestamp())
    """
    parameters = {
        "release_id": release_id,
        "mark": said.mark,
        "reason": said.reason,
        "marked_by": said.actor,
        "request_id": request_id,
    }
    connection.execute(parsed(insert), parameters)
