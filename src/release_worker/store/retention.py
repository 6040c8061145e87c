"""The one path on which release records are deleted.

The triggers that refuse every edit let these statements through while the transaction has said that it prunes. Rows
that form a chain are mended first: what followed a deleted row follows the nearest kept row before it.
"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.requests.kinds import release_fields
from release_worker.domain.subject import Subject
from release_worker.store.marks import mark_of
from release_worker.store.owners.relations import is_current
from release_worker.store.parts import GARBAGE
from release_worker.store.statements import parsed
from release_worker.store.targets import TARGETS

_OPEN = "SET LOCAL release_worker.pruning = 'on'"
_CLOSE = "SET LOCAL release_worker.pruning = 'off'"


def set_pinned(connection: Connection, release_id: UUID, *, pinned: bool) -> None:
    """Set or remove the label that keeps a release."""
    labelled = "labels || jsonb_build_object('pinned', true)" if pinned else "labels - 'pinned'"
    update = f"UPDATE ours.toolset_releases SET labels = {labelled} WHERE id = :id"
    connection.execute(parsed(update), {"id": release_id})


def prunable_releases(connection: Connection, subject: Subject, *, keep: int) -> list[tuple[UUID, int]]:
    """Id and number of the releases that may go, oldest first. The newest is never among them, so that no number is
    given twice."""
    meant = "".join(
        f"""
            UNION ALL
            SELECT to_jsonb(release_number) FROM ours.toolset_releases
            WHERE id = {target} AND EXISTS (SELECT FROM waiting WHERE payload ->> 'to' = '{destination}')"""
        for destination, target in TARGETS.items()
    )
    named = " UNION ALL ".join(f"SELECT payload -> '{name}' AS number FROM waiting" for name in release_fields())
    query = f"""
        WITH waiting AS (
            SELECT payload FROM ours.release_requests
            WHERE toolset_id = :toolset_id AND status IN ('queued', 'running')),
        asked AS (
            {named}
            UNION ALL
            SELECT plan.result -> 'to_release_number'
            FROM waiting JOIN ours.release_requests AS plan ON plan.id = waiting.payload ->> 'plan_id'{meant}
            UNION ALL
            SELECT arguments -> 'release_number' FROM ours.release_schedules
            WHERE toolset_id = :toolset_id AND kind = 'rollback'
              AND (enabled OR fire_at IS NULL OR last_fire_at IS NULL))
        SELECT id, release_number FROM ours.toolset_releases AS release
        WHERE toolset_id = :toolset_id
          AND release_number NOT IN (
              SELECT release_number FROM ours.toolset_releases
              WHERE toolset_id = :toolset_id ORDER BY release_number DESC LIMIT :keep)
          AND NOT coalesce((labels -> 'pinned')::text = 'true', false)
          AND NOT {is_current("release.id")}
          AND release_number IS DISTINCT FROM (
              SELECT max(release_number) FROM ours.toolset_releases AS good
              WHERE toolset_id = :toolset_id AND {mark_of("good.id")} = 'good')
          AND NOT EXISTS (
              SELECT FROM ours.toolset_rollbacks
              WHERE toolset_id = :toolset_id AND release.id IN (from_release_id, to_release_id, backup_release_id))
          AND NOT EXISTS (SELECT FROM asked WHERE number = to_jsonb(release_number))
        ORDER BY release_number
    """
    rows = connection.execute(parsed(query), {"toolset_id": subject.toolset_id, "keep": keep})
    return [(release_id, number) for release_id, number in rows]


def count_releases(connection: Connection, subject: Subject) -> int:
    """How many releases the toolset has."""
    query = "SELECT count(*) FROM ours.toolset_releases WHERE toolset_id = :toolset_id"
    return int(connection.execute(parsed(query), {"toolset_id": subject.toolset_id}).scalar_one())


def delete_releases(connection: Connection, subject: Subject, release_ids: Sequence[UUID]) -> None:
    """Delete these releases of the toolset."""
    parameters = {"toolset_id": subject.toolset_id, "doomed": list(release_ids)}
    unlink = "DELETE FROM ours.release_components WHERE release_id = ANY (CAST(:doomed AS uuid[]))"
    unmark = "DELETE FROM ours.release_marks WHERE release_id = ANY (CAST(:doomed AS uuid[]))"
    delete = "DELETE FROM ours.toolset_releases WHERE id = ANY (CAST(:doomed AS uuid[]))"
    connection.exec_driver_sql(_OPEN)
    connection.execute(parsed(_mended("ours.toolset_releases", "toolset_id = :toolset_id")), parameters)
    connection.execute(parsed(unlink), parameters)
    connection.execute(parsed(unmark), parameters)
    connection.execute(parsed(delete), parameters)
    connection.exec_driver_sql(_CLOSE)


def collect_garbage(connection: Connection, subject: Subject) -> None:
    """Delete content of the toolset, its project and its organization that no release refers to and nothing else needs:
    each part says what that is."""
    connection.exec_driver_sql(_OPEN)
    for garbage in GARBAGE:
        unneeded = f"{garbage.ours} AND {garbage.unused}"
        if garbage.chained:
            query = f"SELECT id FROM {garbage.table} AS content WHERE {unneeded}"
            doomed = list(connection.execute(parsed(query), subject.parameters).scalars())
            parameters = {**subject.parameters, "doomed": doomed}
            if doomed:
                connection.execute(parsed(_mended(garbage.table, garbage.ours)), parameters)
                delete = f"DELETE FROM {garbage.table} WHERE id = ANY (CAST(:doomed AS uuid[]))"
                connection.execute(parsed(delete), parameters)
        else:
            connection.execute(parsed(f"DELETE FROM {garbage.table} AS content WHERE {unneeded}"), subject.parameters)
    connection.exec_driver_sql(_CLOSE)


def _mended(table: str, scope: str) -> str:
    """SQL: let what follows the rows in `:doomed` follow the nearest row before it that is not among them."""
    return f"""
        WITH RECURSIVE back (id, predecessor_id) AS (
            SELECT id, predecessor_id FROM {table}
            WHERE {scope} AND predecessor_id = ANY (CAST(:doomed AS uuid[])) AND id <> ALL (CAST(:doomed AS uuid[]))
            UNION ALL
            SELECT back.id, before.predecessor_id
            FROM back JOIN {table} AS before ON before.id = back.predecessor_id
            WHERE back.predecessor_id = ANY (CAST(:doomed AS uuid[])))
        UPDATE {table} AS kept SET predecessor_id = back.predecessor_id
        FROM back
        WHERE kept.id = back.id AND coalesce(back.predecessor_id <> ALL (CAST(:doomed AS uuid[])), true)
    """
