"""Add an organization, a project or a toolset."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.editing.owners import Added, Kind, NewOrganization, NewProject, NewToolset
from release_worker.domain.owner_name import OwnerName
from release_worker.errors import NameTaken, OwnerNotFound
from release_worker.store.owners import adding
from release_worker.store.owners.holding import hold_owner_for_editing
from release_worker.store.owners.listing import find_owner_ids


def add_organization(connection: Connection, new: NewOrganization, new_id: UUID, *, if_missing: bool) -> Added:
    """Write an organization down. Raises NameTaken if there is one of its slug, unless only `if_missing`."""
    return _accepted("organization", adding.add_organization(connection, new, new_id), if_missing=if_missing)


def add_project(connection: Connection, new: NewProject, new_id: UUID, *, if_missing: bool) -> Added:
    """Write a project down. Raises NameTaken likewise, and OwnerNotFound."""
    organization_id = _organization(connection, new)
    return _accepted("project", adding.add_project(connection, new, organization_id, new_id), if_missing=if_missing)


def add_toolset(connection: Connection, new: NewToolset, new_id: UUID, *, if_missing: bool) -> Added:
    """Write a toolset down, with the project held: who is rolled back looks at what all its toolsets serve. Raises
    NameTaken likewise, and OwnerNotFound."""
    organization_id, project_id = hold_owner_for_editing(connection, new.project)
    assert project_id is not None, "the name of a project was looked up"
    made = adding.add_toolset(connection, new, (organization_id, project_id), new_id)
    return _accepted("toolset", made, if_missing=if_missing)


def _organization(connection: Connection, new: NewProject) -> UUID:
    """Raises OwnerNotFound, also if it is another one than the caller's."""
    found = find_owner_ids(connection, OwnerName(organization=new.organization_slug))[0]
    if (
        new.organization is not None
        and find_owner_ids(connection, OwnerName(organization=new.organization))[0] != found
    ):
        raise OwnerNotFound(scope="organization", name=new.organization_slug)
    return found


def _accepted(kind: Kind, made: Added, *, if_missing: bool) -> Added:
    if not made.created and not if_missing:
        raise NameTaken(scope=kind, name=made.path)
    return made
