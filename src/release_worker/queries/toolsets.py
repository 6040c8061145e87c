"""Which toolsets there are, and how each of them is."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.owner_name import OwnerName
from release_worker.domain.requests.kinds import validated
from release_worker.store.marks import mark_of
from release_worker.store.owners.listing import find_owner
from release_worker.store.owners.naming import organization_named
from release_worker.store.owners.relations import LIVE, OWNED, OWNERS, PATH, PATH_OF, POINTED_AT
from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class ListedToolset:
    """A toolset in a list. `drifted` is what the newest check of drift found, at `drift_found_at`; None if none was
    made since the current release became current."""

    id: UUID
    path: str
    mode: str
    current_release_number: int | None
    current_kind: str | None
    released_at: datetime | None
    released_by: str | None
    mark: str | None
    drifted: bool | None
    drift_found_at: datetime | None
    queued: int
    running: int


def list_toolsets(
    connection: Connection, *, organization: str | None = None, project: str | None = None
) -> list[ListedToolset]:
    """The live toolsets by path: of an organization, a slug or an id, and of a project, `organization/project`, where
    given. Raises OwnerNotFound, and InvalidRequest for a project that is not named so."""
    where, parameters = LIVE, {}
    if organization is not None or project is not None:
        named = validated(OwnerName, {"organization": organization, "project": project})
        scope, owner_id = find_owner(connection, named)
        where, parameters = f"{LIVE} AND t.{OWNERS[scope].of_toolset} = :owner_id", {"owner_id": owner_id}
    query = f"""
        SELECT t.id, {PATH}, t.editing_mode AS mode, r.release_number AS current_release_number,
               r.kind AS current_kind, r.created_at AS released_at, r.released_by, {mark_of("r.id")} AS mark,
               found.drifted, found.at AS drift_found_at,
               coalesce(unfinished.queued, 0) AS queued, coalesce(unfinished.running, 0) AS running
        FROM {OWNED}
        LEFT JOIN ours.toolset_releases r ON r.id = {POINTED_AT}
        LEFT JOIN LATERAL (
            SELECT (result -> 'drifted')::boolean AS drifted, finished_at AS at,
                   result -> 'current_release_number' AS number
            FROM ours.release_requests
            WHERE toolset_id = t.id AND kind = 'check_drift' AND status = 'succeeded'
            ORDER BY seq DESC LIMIT 1
        ) AS found ON found.number = to_jsonb(r.release_number) AND NOT EXISTS (
            SELECT FROM ours.toolset_rollbacks later WHERE later.toolset_id = t.id AND later.created_at > found.at)
        LEFT JOIN LATERAL (
            SELECT count(*) FILTER (WHERE status = 'queued') AS queued,
                   count(*) FILTER (WHERE status = 'running') AS running
            FROM ours.release_requests WHERE toolset_id = t.id AND status IN ('queued', 'running')
        ) AS unfinished ON true
        WHERE {where}
        ORDER BY ({PATH_OF}) COLLATE "C"
    """
    return [ListedToolset(**row._mapping) for row in connection.execute(parsed(query), parameters)]


@dataclass(frozen=True, slots=True)
class ReleasedToolset:
    """A toolset that has releases; it may be deleted."""

    id: UUID
    path: str


def released_toolsets(connection: Connection, *, organization: str | None = None) -> list[ReleasedToolset]:
    """Every toolset that has releases, also deleted ones, by path; of one organization if given."""
    ours = "" if organization is None else f"AND o.id = {organization_named(':organization')}"
    query = f"""
        SELECT t.id, {PATH} FROM {OWNED}
        WHERE EXISTS (SELECT FROM ours.toolset_releases r WHERE r.toolset_id = t.id) {ours}
        ORDER BY ({PATH_OF}) COLLATE "C", t.id
    """
    parameters = {} if organization is None else {"organization": organization}
    return [ReleasedToolset(**row._mapping) for row in connection.execute(parsed(query), parameters)]
