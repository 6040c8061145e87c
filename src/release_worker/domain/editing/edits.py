"""What is asked of an edit: of a toolset with what it shares, of a project, of an organization."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, model_validator

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.editing.catalogue import Catalogue
from release_worker.domain.editing.contents import (
    Change,
    Deploy,
    ItemsChange,
    ListChange,
    SettingsChange,
    SystemChange,
    VariationsChange,
)
from release_worker.domain.editing.names import Asked, Description, Json, Keys, LongText, Slug, Title, Urn, Urns
from release_worker.domain.requests.fields import Name, Reason
from release_worker.domain.subject import Scope

Changes = Mapping[str, Change]


class Prompt(Asked):
    """The fields of a prompt template that are to change. Text alone is its `prompt`."""

    prompt: LongText = ""
    description: Description | None = None
    engine: Name = "mustache"
    kind: Literal["prompt", "higher_order_tool"] = "prompt"
    arguments: Json | None = None
    tool_urn: Urn | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_text(cls, given: Any) -> Any:
        return {"prompt": given} if isinstance(given, str) else given

    @property
    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class _Edit(Asked):
    """`override_freeze` says why it is to be done even during a freeze."""

    slug: Slug | None = None
    name: Title | None = None
    override_freeze: Reason | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.slug is None and self.name is None and not any(self.changes.values()):
            raise ValueError("nothing is to be edited")
        for put, removed in _PAIRS:
            both = {*getattr(self, put, ())} & {*getattr(self, removed, ())}
            if both:
                raise ValueError(f"{min(both)} is both in {put} and in {removed}")
        return self

    @property
    def changes(self) -> Changes:
        """By component; some may ask for nothing."""
        return {}


_PAIRS = (
    ("add_tools", "remove_tools"),
    ("add_resources", "remove_resources"),
    *((f"set_{what}", f"remove_{what}") for what in ("settings", "variations", "prompts", "config")),
    ("set_global_variations", "remove_global_variations"),
)


class _OfProject(_Edit):
    set_prompts: dict[Name, Prompt] = Field(default_factory=dict)
    remove_prompts: Keys = ()
    set_config: dict[Name, Json] = Field(default_factory=dict)
    remove_config: Keys = ()
    deploy: Catalogue | None = None

    @property
    def changes(self) -> Changes:
        prompts = {name: prompt.given for name, prompt in self.set_prompts.items()}
        config = ItemsChange("configuration", self.set_config, self.remove_config)
        return {
            "deployment": Deploy(self.deploy),
            "system": SystemChange(config, ItemsChange("prompt", prompts, self.remove_prompts)),
        }


class ProjectEdit(_OfProject):
    """An edit of a project: its slug and name, prompts, configuration and deployment."""


class OrganizationEdit(_Edit):
    """An edit of an organization: its slug and name, and the variations of all its toolsets."""

    set_variations: dict[Urn, Json] = Field(default_factory=dict)
    remove_variations: Urns = ()

    @property
    def changes(self) -> Changes:
        return {"global_variations": VariationsChange("variation", self.set_variations, self.remove_variations)}


Order = Annotated[Urns | None, Field(strict=False)]


class ToolsetEdit(_OfProject):
    """An edit of a toolset, and of what it shares: with its project's toolsets, and with its organization's."""

    description: Description | None = None
    set_settings: dict[Name, Json] = Field(default_factory=dict)
    remove_settings: Keys = ()
    add_tools: Urns = ()
    remove_tools: Urns = ()
    tool_order: Order = None
    add_resources: Urns = ()
    remove_resources: Urns = ()
    resource_order: Order = None
    set_variations: dict[Urn, Json] = Field(default_factory=dict)
    remove_variations: Urns = ()
    set_global_variations: dict[Urn, Json] = Field(default_factory=dict)
    remove_global_variations: Urns = ()

    @property
    def changes(self) -> Changes:
        settings = ItemsChange("setting", self.set_settings, self.remove_settings)
        shared = ItemsChange("global variation", self.set_global_variations, self.remove_global_variations)
        return {
            **super().changes,
            "settings": SettingsChange(self.name, self.description, settings),
            "tools": ListChange("tool", self.add_tools, self.remove_tools, self.tool_order),
            "resources": ListChange("resource", self.add_resources, self.remove_resources, self.resource_order),
            "global_variations": VariationsChange(shared.what, shared.put, shared.removed),
            "toolset_variations": VariationsChange("variation", self.set_variations, self.remove_variations),
        }


@dataclass(frozen=True, slots=True)
class Renamed:
    """What a slug or a name was, and what it is."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit has changed of a toolset, a project or an organization (`scope`): `changes` by component, as those
    of a rollback, and empty if all was so before; `path` is its path now. `renamed`: its `slug`, and the `name` of a
    project or an organization, which no release holds, if they have changed. `warnings` tell what was so at that
    moment: what an edit does not hold, such as a deployment beside an edit of a list, may change meanwhile."""

    id: UUID
    scope: Scope
    path: str
    changes: Mapping[str, ComponentChanges]
    warnings: tuple[str, ...]
    renamed: Mapping[str, Renamed] = field(default_factory=dict)
