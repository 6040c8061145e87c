"""Edit a toolset, a project or an organization, in order with every rollback and release."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.editing.edits import Edited, OrganizationEdit, ProjectEdit, ToolsetEdit
from release_worker.domain.owner_name import OwnerName
from release_worker.domain.subject import Scope, Subject
from release_worker.operations.editing.changing import change_contents, unprovided
from release_worker.operations.expectations import check_not_frozen
from release_worker.state.registry import Registry
from release_worker.store.freezes import freeze_at, freezes_now
from release_worker.store.owners import renaming
from release_worker.store.owners.holding import (
    hold_all_for_editing,
    hold_owner_for_editing,
)
from release_worker.store.owners.staging import is_copy

# In place of the ids of owners that an edit has none of: no row has it.
NOBODY = UUID(int=0)


def edit_toolset(
    connection: Connection,
    registry: Registry,
    toolset: str,
    edit: ToolsetEdit,
    *,
    organization: str | None = None,
) -> Edited:
    """Edit a toolset, and what it shares. Raises ToolsetNotFound, Frozen, NameTaken, InvalidRequest for what cannot be
    done to what is there, and VersionConflict."""
    scopes = {registry[name].scope for name, change in edit.changes.items() if change}
    scopes |= {"toolset"} if edit.slug is not None else set()
    subject = hold_all_for_editing(connection, toolset, scopes, organization=organization)
    check_toolset_not_frozen(connection, subject, scopes, edit.override_freeze)
    changed = change_contents(connection, registry, subject, edit.changes)
    path, renamed = renaming.Renaming(subject.path, {})
    if edit.slug is not None:
        path, renamed = renaming.rename_toolset(connection, subject, edit.slug)
    warnings = (*changed.warnings, *unprovided(connection, registry, subject, changed.changes))
    return Edited(subject.toolset_id, "toolset", path, changed.changes, warnings, renamed)


def edit_project(connection: Connection, registry: Registry, project: OwnerName, edit: ProjectEdit) -> Edited:
    """Edit a project, and what its toolsets share. Raises OwnerNotFound, and the others as `edit_toolset`."""
    organization_id, project_id = hold_owner_for_editing(connection, project)
    assert project_id is not None, "the name of a project was looked up"
    freeze = freeze_at(connection, organization_id=organization_id, project_id=project_id)
    check_not_frozen(freeze, edit.override_freeze)
    subject = Subject(NOBODY, project_id, organization_id, path=project.project or "")
    changed = change_contents(connection, registry, subject, edit.changes)
    path, renamed = renaming.rename_project(connection, subject, slug=edit.slug, name=edit.name)
    return Edited(project_id, "project", path, changed.changes, changed.warnings, renamed)


def edit_organization(
    connection: Connection, registry: Registry, organization: OwnerName, edit: OrganizationEdit
) -> Edited:
    """Edit an organization, and the variations of all its toolsets, which a freeze of any of its projects holds off;
    otherwise as `edit_project`."""
    organization_id, _ = hold_owner_for_editing(connection, organization)
    scopes: set[Scope] = {registry[name].scope for name, change in edit.changes.items() if change}
    freezes = freezes_now(connection, organization_id=organization_id, project_id=None)
    check_not_frozen(freezes.of_change(scopes), edit.override_freeze)
    subject = Subject(NOBODY, NOBODY, organization_id, path=organization.organization or "")
    changed = change_contents(connection, registry, subject, edit.changes)
    path, renamed = renaming.rename_organization(connection, subject, slug=edit.slug, name=edit.name)
    return Edited(organization_id, "organization", path, changed.changes, changed.warnings, renamed)


def check_toolset_not_frozen(
    connection: Connection, subject: Subject, scopes: Collection[Scope], override: str | None
) -> None:
    """Raises Frozen. A staged copy may be edited during a freeze, in what is its own."""
    freezes = freezes_now(connection, organization_id=subject.organization_id, project_id=subject.project_id)
    freeze = freezes.of_change(scopes)
    if freeze is not None and not (set(scopes) == {"toolset"} and is_copy(connection, subject)):
        check_not_frozen(freeze, override)
