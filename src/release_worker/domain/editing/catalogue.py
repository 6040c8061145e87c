"""A catalogue: the definitions of tools and resources, and the assets that they run, as one deployment has them."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from release_worker.domain.editing.names import Asked, Json, LongText, Title, Urn
from release_worker.domain.requests.fields import Name

_OF_A_DEFINITION = ("urn", "name", "description")


class Definition(Asked):
    """A tool or a resource. Without a name it is called by the last part of its URN; without `definition`, all its
    other fields are that."""

    urn: Urn
    name: Title | None = None
    description: LongText | None = None
    definition: Json

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "definition" in given:
            return given
        named = {name: given[name] for name in _OF_A_DEFINITION if name in given}
        return {**named, "definition": {name: value for name, value in given.items() if name not in named}}

    @property
    def item(self) -> dict[str, Any]:
        """As it stands in the content of a deployment."""
        name = self.name or self.urn.rpartition(":")[2] or self.urn
        return {"name": name, "description": self.description, "definition": self.definition}


class Asset(Asked):
    """What definitions were made of, or run."""

    kind: Literal["openapiv3", "function", "package"]
    slug: Name
    name: Title | None = None
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    config: Json = Field(default_factory=dict)

    @property
    def key(self) -> str:
        """As the content of a deployment names it."""
        return f"{self.kind}/{self.slug}"

    @property
    def item(self) -> dict[str, Any]:
        """As it stands there."""
        return {"name": self.name or self.slug, "sha256": self.sha256, "config": self.config}


class Catalogue(Asked):
    """All that a deployment provides. A list is read as its tools."""

    tools: Annotated[tuple[Definition, ...], Field(strict=False)] = ()
    resources: Annotated[tuple[Definition, ...], Field(strict=False)] = ()
    assets: Annotated[tuple[Asset, ...], Field(strict=False)] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_a_list(cls, given: Any) -> Any:
        return {"tools": given} if isinstance(given, list | tuple) else given

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        _refuse_twice(one.urn for one in self.tools)
        _refuse_twice(one.urn for one in self.resources)
        _refuse_twice(one.key for one in self.assets)
        return self

    @property
    def content(self) -> dict[str, Any]:
        """The content of a deployment that has this and nothing else."""
        return {
            "status": "completed",
            "assets": {one.key: one.item for one in self.assets},
            "tools": {one.urn: one.item for one in self.tools},
            "resources": {one.urn: one.item for one in self.resources},
        }


def _refuse_twice(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{name} is there twice")
        seen.add(name)
