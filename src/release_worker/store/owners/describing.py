"""Organizations, projects and toolsets as they are listed and shown: their own rows, without what they have."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, RowMapping

from release_worker.domain.editing.owners import ListedOrganization, ListedProject
from release_worker.store.owners.relations import LIVE, OWNED, PATH_OF, POINTED_AT
from release_worker.store.statements import parsed


def organizations(connection: Connection, organization_id: UUID | None = None) -> Sequence[ListedOrganization]:
    """All organizations by slug, or this one."""
    query = f"""
        SELECT o.id, o.slug, o.name, (SELECT count(*) FROM ours.projects p WHERE p.organization_id = o.id) AS projects,
               (SELECT count(*) FROM ours.toolsets t WHERE t.organization_id = o.id AND {LIVE}) AS toolsets
        FROM ours.organizations o
        WHERE CAST(:organization_id AS uuid) IS NULL OR o.id = :organization_id
        ORDER BY o.slug COLLATE "C"
    """
    rows = connection.execute(parsed(query), {"organization_id": organization_id})
    return [ListedOrganization(**row._mapping) for row in rows]


def projects(
    connection: Connection, organization_id: UUID | None = None, project_id: UUID | None = None
) -> Sequence[ListedProject]:
    """The projects by path: all, those of an organization, or this one."""
    query = f"""
        SELECT p.id, p.organization_id, o.slug || '/' || p.slug AS path, p.slug, p.name, p.active_deployment_id,
               (SELECT count(*) FROM ours.toolsets t WHERE t.project_id = p.id AND {LIVE}) AS toolsets
        FROM ours.projects p JOIN ours.organizations o ON o.id = p.organization_id
        WHERE (CAST(:organization_id AS uuid) IS NULL OR o.id = :organization_id)
          AND (CAST(:project_id AS uuid) IS NULL OR p.id = :project_id)
        ORDER BY o.slug COLLATE "C", p.slug COLLATE "C"
    """
    rows = connection.execute(parsed(query), {"organization_id": organization_id, "project_id": project_id})
    return [ListedProject(**row._mapping) for row in rows]


def toolset_paths(connection: Connection, project_id: UUID) -> tuple[str, ...]:
    """The paths of the live toolsets of a project."""
    query = f'SELECT {PATH_OF} FROM {OWNED} WHERE {LIVE} AND t.project_id = :project_id ORDER BY t.slug COLLATE "C"'
    return tuple(connection.execute(parsed(query), {"project_id": project_id}).scalars())


def toolset_row(connection: Connection, toolset_id: UUID) -> RowMapping:
    """The toolset's `slug`, `mode` and `current_release_number`."""
    query = f"""
        SELECT t.slug, t.editing_mode AS mode, r.release_number AS current_release_number
        FROM ours.toolsets t LEFT JOIN ours.toolset_releases r ON r.id = {POINTED_AT}
        WHERE t.id = :toolset_id
    """
    return connection.execute(parsed(query), {"toolset_id": toolset_id}).one()._mapping
