"""Organizations, projects and toolsets that are added, and their slugs and names."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.editing.owners import Added, NewOrganization, NewProject, NewToolset
from release_worker.store.statements import parsed

# Each finds what has the slug, whether it was there or this statement's caller has just put it there.


def add_organization(connection: Connection, new: NewOrganization, new_id: UUID) -> Added:
    """The organization of this slug: a new one of this id, unless there is one."""
    insert = "INSERT INTO ours.organizations (id, slug, name) VALUES (:id, :slug, :name) ON CONFLICT (slug) DO NOTHING"
    values = {"id": new_id, "slug": new.slug, "name": new.name or new.slug}
    connection.execute(parsed(insert), values)
    found = "SELECT id, slug AS path, name, id = :id AS created FROM ours.organizations WHERE slug = :slug"
    return Added(**connection.execute(parsed(found), values).one()._mapping)


def add_project(connection: Connection, new: NewProject, organization_id: UUID, new_id: UUID) -> Added:
    """The project of this slug in the organization: a new one of this id, unless there is one."""
    insert = """
        INSERT INTO ours.projects (id, organization_id, slug, name) VALUES (:id, :organization_id, :slug, :name)
        ON CONFLICT (organization_id, slug) DO NOTHING
    """
    values = {"id": new_id, "organization_id": organization_id, "slug": new.slug, "name": new.name or new.slug}
    connection.execute(parsed(insert), values)
    found = """
        SELECT p.id, o.slug || '/' || p.slug AS path, p.name, p.id = :id AS created
        FROM ours.projects p JOIN ours.organizations o ON o.id = p.organization_id
        WHERE p.organization_id = :organization_id AND p.slug = :slug
    """
    return Added(**connection.execute(parsed(found), values).one()._mapping)


def add_toolset(connection: Connection, new: NewToolset, owners: tuple[UUID, UUID], new_id: UUID) -> Added:
    """The live toolset of this slug in the project of `owners`, an organization and a project: a new one of this id,
    unless there is one. The project must be held."""
    insert = """
        INSERT INTO ours.toolsets (id, organization_id, project_id, slug, name, description, settings)
        VALUES (:id, :organization_id, :project_id, :slug, :name, :description, CAST(:settings AS jsonb))
        ON CONFLICT (project_id, slug) WHERE deleted_at IS NULL DO NOTHING
    """
    organization_id, project_id = owners
    values = {
        "id": new_id,
        "organization_id": organization_id,
        "project_id": project_id,
        "slug": new.slug,
        "name": new.name or new.slug,
        "description": new.description or None,
        "settings": canonical_json.dumps(new.settings),
    }
    connection.execute(parsed(insert), values)
    found = """
        SELECT t.id, o.slug || '/' || p.slug || '/' || t.slug AS path, t.name, t.id = :id AS created
        FROM ours.toolsets t
        JOIN ours.projects p ON p.id = t.project_id
        JOIN ours.organizations o ON o.id = p.organization_id
        WHERE t.project_id = :project_id AND t.slug = :slug AND t.deleted_at IS NULL
    """
    return Added(**connection.execute(parsed(found), values).one()._mapping)
