"""Make the operations of an OpenAPI document the tools of a toolset."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.editing.contents import Change, ListChange, refused
from release_worker.domain.editing.edits import Edited
from release_worker.domain.editing.owners import NewOrganization, NewProject, NewToolset
from release_worker.domain.requests.kinds import validated
from release_worker.domain.subject import Scope, Subject
from release_worker.errors import ToolsetNotFound
from release_worker.operations.editing.adding import add_organization, add_project, add_toolset
from release_worker.operations.editing.changing import change_contents, hold_contents, unprovided
from release_worker.operations.editing.editing import check_toolset_not_frozen
from release_worker.state.registry import Registry
from release_worker.state.states import live_state
from release_worker.store.owners.holding import hold_all_for_editing

if TYPE_CHECKING:
    from release_worker.domain.openapi.tools import Imported

_SCOPES: frozenset[Scope] = frozenset(("project", "toolset"))


@dataclass(frozen=True, slots=True)
class Target:
    """Where a document goes: `toolset` is a path or an id, and must be in `organization`, if that is given. With
    `new_ids`, of an organization, a project and a toolset, what of them is not there is made."""

    toolset: str
    organization: str | None = None
    new_ids: tuple[UUID, UUID, UUID] | None = None
    override_freeze: str | None = None


def import_openapi(connection: Connection, registry: Registry, target: Target, document: "Imported") -> Edited:
    """Deploy the document's tools beside all else that the project's deployment has, in place of those that it had
    before, and list the new ones. The same document again changes nothing.

    Raises ToolsetNotFound, OwnerNotFound, Frozen, InvalidRequest for a slug whose tools were not imported, and
    VersionConflict.
    """
    subject = _held(connection, target)
    check_toolset_not_frozen(connection, subject, _SCOPES, target.override_freeze)
    hold_contents(connection, registry, subject, ("deployment", "tools"))
    changes: dict[str, Change] = {
        "deployment": DeployDocument(document),
        "tools": _listing(connection, registry, subject, document),
    }
    changed = change_contents(connection, registry, subject, changes)
    warnings = (*changed.warnings, *unprovided(connection, registry, subject, changed.changes))
    return Edited(subject.toolset_id, "toolset", subject.path, changed.changes, warnings)


def _held(connection: Connection, target: Target) -> Subject:
    def hold() -> Subject:
        return hold_all_for_editing(connection, target.toolset, _SCOPES, organization=target.organization)

    try:
        return hold()
    except ToolsetNotFound:
        if target.new_ids is None:
            raise
    _create(connection, target.toolset, target.organization, target.new_ids)
    return hold()


def _create(connection: Connection, path: str, caller: str | None, new_ids: tuple[UUID, UUID, UUID]) -> None:
    """What of the path is not there. Raises OwnerNotFound if the organization is another one than the caller's, and
    InvalidRequest for what is no path."""
    new = validated(NewToolset, {"path": path, "organization": caller})
    organization, project, _ = path.split("/")
    of_organization, of_project, of_toolset = new_ids
    if caller is None:
        add_organization(connection, NewOrganization(slug=organization), of_organization, if_missing=True)
    owner = validated(NewProject, {"path": f"{organization}/{project}", "organization": caller})
    add_project(connection, owner, of_project, if_missing=True)
    add_toolset(connection, new, of_toolset, if_missing=True)


def _listing(connection: Connection, registry: Registry, subject: Subject, document: "Imported") -> ListChange:
    """Tools that the document brings are listed, and those that it has no more are not. What was taken from the list by
    hand stays away, but for a toolset that lists none of the document's tools: then all are new to it."""
    live = live_state((registry["deployment"], registry["tools"]), subject)
    provided = live.query(connection, f"SELECT jsonb_object_keys({live['deployment']} -> 'tools')").scalars()
    known = {urn for urn in provided if document.owns(urn)}
    row = live.query(connection, f"SELECT jsonb_array_elements_text({live['tools']} -> 'urns')").scalars()
    listed = [urn for urn in row if document.owns(urn)]
    brought = document.urns if known.isdisjoint(listed) else [urn for urn in document.urns if urn not in known]
    wanted = set(document.urns)
    return ListChange("tool", brought, [urn for urn in listed if urn not in wanted])


@dataclass(frozen=True, slots=True)
class DeployDocument:
    """The deployment has the document's tools in place of those that a document of its slug had, and all else as it
    was."""

    document: "Imported"

    def __bool__(self) -> bool:
        return True

    def made_to(self, content: Any, warnings: list[str]) -> Any:
        """Raises InvalidRequest if tools of its slug are there that no import has made."""
        imported, asset = self.document.catalogue.content, self.document.asset
        before = content or {"assets": {}, "tools": {}, "resources": {}}
        others = _without(before["tools"], self.document.owns)
        known = before["assets"].get(asset.key)
        if len(others) < len(before["tools"]) and not (known and self.document.is_imported(known)):
            problem = f"the project has tools of {asset.slug} that were not imported; give the document another slug"
            raise refused("slug", problem)
        return {
            "status": "completed",
            "assets": {**before["assets"], **imported["assets"]},
            "tools": {**others, **imported["tools"]},
            "resources": before["resources"],
        }


def _without(items: dict[str, Any], owned: Callable[[str], bool]) -> dict[str, Any]:
    return {urn: item for urn, item in items.items() if not owned(urn)}
