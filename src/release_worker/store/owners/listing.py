"""All toolsets of a project or an organization."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.owner_name import OwnerName
from release_worker.domain.subject import Scope, Subject
from release_worker.errors import OwnerNotFound
from release_worker.store.owners.naming import organization_named
from release_worker.store.owners.relations import LIVE, OWNED, OWNERS, SUBJECT
from release_worker.store.statements import parsed


def toolsets_of(connection: Connection, owner: OwnerName) -> list[Subject]:
    """The live toolsets of the owner of this name, in the order of their paths. Raises OwnerNotFound."""
    scope, owner_id = find_owner(connection, owner)
    query = f"""
        SELECT {SUBJECT}
        FROM {OWNED}
        WHERE {LIVE} AND t.{OWNERS[scope].of_toolset} = :owner_id
        ORDER BY path, t.id
    """
    return [Subject(**row._mapping) for row in connection.execute(parsed(query), {"owner_id": owner_id})]


def find_owner(connection: Connection, owner: OwnerName) -> tuple[Scope, UUID]:
    """The scope and the id of the owner of this name. Raises OwnerNotFound."""
    scope: Scope
    if owner.project is None:
        scope, name = "organization", owner.organization
        query, parameters = f"SELECT {organization_named(':caller')}", {"caller": owner.organization}
    else:
        scope, name = "project", owner.project
        organization, _, project = owner.project.partition("/")
        query = f"""
            SELECT p.id FROM ours.projects p JOIN ours.organizations o ON o.id = p.organization_id
            WHERE o.slug = :organization AND p.slug = :project
              AND (CAST(:caller AS text) IS NULL OR o.id = {organization_named(":caller")})
        """
        parameters = {"organization": organization, "project": project, "caller": owner.organization}
    found = connection.execute(parsed(query), parameters).scalar()
    if found is None:
        raise OwnerNotFound(scope=scope, name=name)
    return scope, found


def find_owner_ids(connection: Connection, owner: OwnerName) -> tuple[UUID, UUID | None]:
    """The ids of an organization and of the project, None if the organization itself is meant. Raises OwnerNotFound."""
    scope, owner_id = find_owner(connection, owner)
    if scope == "organization":
        return owner_id, None
    query = "SELECT organization_id FROM ours.projects WHERE id = :project_id"
    return connection.execute(parsed(query), {"project_id": owner_id}).scalar_one(), owner_id
