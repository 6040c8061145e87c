"""Releases that a rollback can name without their numbers: found by what a toolset has been through."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.requests.rollback import Destination
from release_worker.store.marks import mark_of
from release_worker.store.owners.relations import CURRENT_RELEASE
from release_worker.store.statements import parsed

# SQL: the id of the release, or NULL; the parameter is `:toolset_id`.
TARGETS: Mapping[Destination, str] = {
    "current": CURRENT_RELEASE,
    "previous": f"(SELECT predecessor_id FROM ours.toolset_releases WHERE id = {CURRENT_RELEASE})",
    # What was live before the last rollback that changed live state: its backup, or the release that it left if nothing
    # was unreleased.
    "undo": """(
        SELECT coalesce(backup_release_id, from_release_id) FROM ours.toolset_rollbacks
        WHERE toolset_id = :toolset_id AND changes <> '{}' ORDER BY created_at DESC, id DESC LIMIT 1)""",
    "last_good": f"""(
        WITH RECURSIVE back (id, predecessor_id, depth) AS (
            SELECT id, predecessor_id, 0 FROM ours.toolset_releases WHERE id = {CURRENT_RELEASE}
            UNION ALL
            SELECT before.id, before.predecessor_id, depth + 1
            FROM back JOIN ours.toolset_releases AS before ON before.id = back.predecessor_id
            WHERE depth = 0 OR {mark_of("back.id")} = 'bad')
        SELECT id FROM back
        WHERE depth > 0 AND {mark_of("back.id")} IS DISTINCT FROM 'bad' ORDER BY depth LIMIT 1)""",
}


def number_of(connection: Connection, toolset_id: UUID, destination: Destination) -> int | None:
    """The number of the release that is meant now; None if there is none."""
    query = f"SELECT release_number FROM ours.toolset_releases WHERE id = {TARGETS[destination]}"
    number: int | None = connection.execute(parsed(query), {"toolset_id": toolset_id}).scalar()
    return number


def released_since_the_last_rollback(connection: Connection, toolset_id: UUID) -> list[int]:
    """The numbers of the releases that were asked for after the last rollback that changed live state."""
    query = """
        SELECT release_number FROM ours.toolset_releases
        WHERE toolset_id = :toolset_id AND kind = 'release' AND created_at > (
            SELECT max(created_at) FROM ours.toolset_rollbacks WHERE toolset_id = :toolset_id AND changes <> '{}')
        ORDER BY release_number
    """
    return list(connection.execute(parsed(query), {"toolset_id": toolset_id}).scalars())
