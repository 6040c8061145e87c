"""What a schedule is for: one toolset, or all of a project or an organization."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.schedules.schedule import Schedule
from release_worker.errors import OwnerNotFound, ToolsetNotFound
from release_worker.store.owners.relations import LIVE, OWNED, PATH, PATH_OF
from release_worker.store.owners.staging import IS_COPY
from release_worker.store.statements import parsed


def target_of(row: str) -> str:
    """SQL: the path of what the row `row`, with the columns `organization_id`, `project_id` and `toolset_id`, is for;
    the id of a toolset or a project that is gone, or another organization's."""
    return f"""coalesce(
        CASE WHEN {row}.toolset_id IS NOT NULL THEN
                 (SELECT {PATH_OF} FROM {OWNED}
                  WHERE t.id = {row}.toolset_id AND t.organization_id = {row}.organization_id)
             WHEN {row}.project_id IS NOT NULL THEN
                 (SELECT o.slug || '/' || p.slug
                  FROM ours.projects p JOIN ours.organizations o ON o.id = p.organization_id
                  WHERE p.id = {row}.project_id AND o.id = {row}.organization_id)
             ELSE {slug_of(row)}
        END, CAST(coalesce({row}.toolset_id, {row}.project_id) AS text))"""


def slug_of(row: str) -> str:
    """SQL: the slug of the organization of the row `row`."""
    return f"(SELECT known.slug FROM ours.organizations AS known WHERE known.id = {row}.organization_id)"


# SQL: the live toolsets of a scope, as `toolset_id`, `project_id` and `path`; staged copies only if they are named.
# Parameters: `:organization_id`, `:project_id`, `:toolset_id`.
LIVING = f"""
    SELECT t.id AS toolset_id, t.project_id, {PATH}
    FROM {OWNED}
    WHERE {LIVE} AND t.organization_id = :organization_id
      AND (CAST(:project_id AS uuid) IS NULL OR t.project_id = :project_id)
      AND CASE WHEN CAST(:toolset_id AS uuid) IS NULL THEN NOT {IS_COPY} ELSE t.id = :toolset_id END
"""


def require_scope(connection: Connection, schedule: Schedule) -> None:
    """Raises ToolsetNotFound or OwnerNotFound if the schedule's toolset or project is gone, or another organization's
    now."""
    if schedule.toolset_id is not None:
        if not connection.execute(parsed(f"SELECT EXISTS ({LIVING})"), schedule.parameters).scalar_one():
            raise ToolsetNotFound(toolset=schedule.target)
    elif schedule.project_id is not None:
        query = """
            SELECT EXISTS (SELECT FROM ours.projects WHERE id = :project_id AND organization_id = :organization_id)
        """
        if not connection.execute(parsed(query), schedule.parameters).scalar_one():
            raise OwnerNotFound(scope="project", name=schedule.target)


def organization_of_project(connection: Connection, project_id: UUID) -> UUID:
    """The id of the organization that a project belongs to."""
    query = "SELECT organization_id FROM ours.projects WHERE id = :project_id"
    found: UUID = connection.execute(parsed(query), {"project_id": project_id}).scalar_one()
    return found
