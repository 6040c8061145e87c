"""Edits of live state through the client."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from release_worker.client.asking import Asking
from release_worker.client.patience import patiently

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from release_worker.client.transactions import SqlAlchemyTransaction
    from release_worker.domain.editing.edits import Edited
    from release_worker.state.registry import Registry

T = TypeVar("T")

# The text of a prompt, or the fields of a prompt template that are to change.
PromptFields = str | Mapping[str, Any]
# `{"tools": […], "resources": […], "assets": […]}`, or the tools alone.
CatalogueFields = Mapping[str, Any] | Sequence[Mapping[str, Any]]


class ToolsetEdits(Asking):
    """The methods of a client that edit live state, each in one transaction and in order with every release and
    rollback: at once, or with `session` when the caller's transaction commits. They need a database, and no worker."""

    def edit_toolset(
        self,
        toolset: str,
        *,
        slug: str | None = None,
        name: str | None = None,
        description: str | None = None,
        set_settings: Mapping[str, Any] | None = None,
        remove_settings: Sequence[str] = (),
        add_tools: Sequence[str] = (),
        remove_tools: Sequence[str] = (),
        tool_order: Sequence[str] | None = None,
        add_resources: Sequence[str] = (),
        remove_resources: Sequence[str] = (),
        resource_order: Sequence[str] | None = None,
        set_variations: Mapping[str, Any] | None = None,
        remove_variations: Sequence[str] = (),
        set_prompts: Mapping[str, PromptFields] | None = None,
        remove_prompts: Sequence[str] = (),
        set_config: Mapping[str, Any] | None = None,
        remove_config: Sequence[str] = (),
        deploy: CatalogueFields | None = None,
        set_global_variations: Mapping[str, Any] | None = None,
        remove_global_variations: Sequence[str] = (),
        override_freeze: str | None = None,
        organization: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Edited":
        """Edit a toolset's own state: its slug, name, description (an empty text removes it), settings by key, lists by
        URN, and variations by URN; and what it shares: the project's prompts by name, configuration by key and
        deployment, and the organization's global variations by URN.

        What is added stands at the end of its list; `tool_order` and `resource_order` then say which come first. To
        remove what is not there is a warning, and so is to list what nothing provides. What is equal already is not
        written: `changes` of the answer says what was. A prompt is its text, or a mapping of `prompt`, `description`,
        `engine`, `kind`, `arguments` and `tool_urn`, of which the others stay. `deploy` makes a new deployment of a
        catalogue, `{"tools": […], "resources": […], "assets": […]}` or a list of tools, and makes it active: it
        provides what the catalogue has and nothing else. A tool or a resource has `urn` and may have `name`,
        `description` and `definition`, which is all its other fields if it is left out.

        Raises ToolsetNotFound, also for a toolset of another organization than `organization`, if given;
        InvalidRequest for what could not be stored, released or ordered; NameTaken for a slug; Frozen during a freeze,
        unless `override_freeze` is given, a reason that is kept nowhere; and VersionConflict if others hold what is to
        be edited for long.
        """
        from release_worker.domain.editing.edits import ToolsetEdit
        from release_worker.domain.requests.kinds import validate_request, validated
        from release_worker.operations.editing.editing import edit_toolset

        asked = {
            "slug": slug,
            "name": name,
            "description": description,
            "set_settings": set_settings,
            "remove_settings": remove_settings,
            "add_tools": add_tools,
            "remove_tools": remove_tools,
            "tool_order": tool_order,
            "add_resources": add_resources,
            "remove_resources": remove_resources,
            "resource_order": resource_order,
            "set_variations": set_variations,
            "remove_variations": remove_variations,
            "set_prompts": set_prompts,
            "remove_prompts": remove_prompts,
            "set_config": set_config,
            "remove_config": remove_config,
            "deploy": deploy,
            "set_global_variations": set_global_variations,
            "remove_global_variations": remove_global_variations,
            "override_freeze": override_freeze,
        }
        named = validate_request("check_drift", {"toolset": toolset, "organization": organization})
        edit, registry = validated(ToolsetEdit, _given(asked)), self._components()
        return self._edited(
            lambda connection: edit_toolset(connection, registry, named.toolset, edit, organization=named.organization),
            session,
        )

    def edit_project(
        self,
        project: str,
        *,
        slug: str | None = None,
        name: str | None = None,
        set_prompts: Mapping[str, PromptFields] | None = None,
        remove_prompts: Sequence[str] = (),
        set_config: Mapping[str, Any] | None = None,
        remove_config: Sequence[str] = (),
        deploy: CatalogueFields | None = None,
        override_freeze: str | None = None,
        organization: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Edited":
        """Edit a project (`organization/project`) and what its toolsets share; otherwise as `edit_toolset`. Raises
        OwnerNotFound in place of ToolsetNotFound."""
        from release_worker.domain.editing.edits import ProjectEdit
        from release_worker.domain.owner_name import OwnerName
        from release_worker.domain.requests.kinds import validated
        from release_worker.operations.editing.editing import edit_project

        asked = {
            "slug": slug,
            "name": name,
            "set_prompts": set_prompts,
            "remove_prompts": remove_prompts,
            "set_config": set_config,
            "remove_config": remove_config,
            "deploy": deploy,
            "override_freeze": override_freeze,
        }
        named = validated(OwnerName, {"project": project, "organization": organization})
        edit, registry = validated(ProjectEdit, _given(asked)), self._components()
        return self._edited(lambda connection: edit_project(connection, registry, named, edit), session)

    def edit_organization(
        self,
        organization: str,
        *,
        slug: str | None = None,
        name: str | None = None,
        set_variations: Mapping[str, Any] | None = None,
        remove_variations: Sequence[str] = (),
        override_freeze: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Edited":
        """Edit an organization (a slug or an id) and the variations of all its toolsets, which a freeze of any of its
        projects holds off; otherwise as `edit_project`."""
        from release_worker.domain.editing.edits import OrganizationEdit
        from release_worker.domain.owner_name import OwnerName
        from release_worker.domain.requests.kinds import validated
        from release_worker.operations.editing.editing import edit_organization

        asked = {
            "slug": slug,
            "name": name,
            "set_variations": set_variations,
            "remove_variations": remove_variations,
            "override_freeze": override_freeze,
        }
        named = validated(OwnerName, {"organization": organization})
        edit, registry = validated(OrganizationEdit, _given(asked)), self._components()
        return self._edited(lambda connection: edit_organization(connection, registry, named, edit), session)

    def _components(self) -> "Registry":
        """What is edited is built in; what is told of it hides secrets."""
        from release_worker.state.registry import built_in_components

        return replace(built_in_components(), secrets=self._settings.secrets)

    def _edited(self, work: "Callable[[Connection], T]", session: "SqlAlchemyTransaction | None") -> T:
        """As `_at_once`, with the errors of ours on a caller's session, too; without one also again, for a while, if
        others hold what it needs."""
        if session is None:
            return patiently(lambda: self._at_once(work, None))
        from release_worker.store.conflicts import translated

        with translated():
            return self._at_once(work, session)


def _given(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Without what was left out."""
    return {
        name: dict(value) if isinstance(value, Mapping) and name != "deploy" else value
        for name, value in asked.items()
        if value is not None and value != ()
    }
