"""Organizations, projects and toolsets: what is asked of a new one, and how those that are there are told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from release_worker.domain.editing.names import Asked, Description, Json, Slug, Title, checked_slug
from release_worker.domain.owner_name import OwnerName
from release_worker.domain.requests.fields import Name

Kind = Literal["organization", "project", "toolset"]


def _path_of(parts: int, form: str) -> AfterValidator:
    def check(text: str) -> str:
        slugs = text.split("/")
        if len(slugs) != parts:
            raise ValueError(f"must be {form}")
        for slug in slugs:
            checked_slug(slug)
        return text

    return AfterValidator(check)


class NewOrganization(Asked):
    """An organization; without a name it is called by its slug."""

    slug: Slug
    name: Title | None = None


class _Owned(Asked):
    """What is below another owner; `organization` says in whose organization that must be."""

    path: str
    name: Title | None = None
    organization: Name | None = None

    @property
    def slug(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def _above(self) -> str:
        return self.path.rpartition("/")[0]


class NewProject(_Owned):
    """A project of an organization that is there."""

    path: Annotated[str, _path_of(2, "organization/project")]

    @property
    def organization_slug(self) -> str:
        """The organization that it is to be in."""
        return self._above


class NewToolset(_Owned):
    """A toolset of a project that is there, with nothing in its lists."""

    path: Annotated[str, _path_of(3, "organization/project/toolset")]
    description: Description | None = None
    settings: dict[str, Json] = Field(default_factory=dict)

    @property
    def project(self) -> OwnerName:
        """The project that it is to be in."""
        return OwnerName(project=self._above, organization=self.organization)


@dataclass(frozen=True, slots=True)
class Added:
    """An organization, a project or a toolset that is there now; `created` is false if it was there before."""

    id: UUID
    path: str
    name: str
    created: bool


@dataclass(frozen=True, slots=True)
class ListedOrganization:
    """An organization in a list, with the numbers of its projects and of its live toolsets."""

    id: UUID
    slug: str
    name: str
    projects: int
    toolsets: int


@dataclass(frozen=True, slots=True)
class ListedProject:
    """A project in a list, with the number of its live toolsets."""

    id: UUID
    organization_id: UUID
    path: str
    slug: str
    name: str
    active_deployment_id: UUID | None
    toolsets: int


@dataclass(frozen=True, slots=True)
class ShownOrganization:
    """What an organization has: its projects, and the variations of all its toolsets, by URN."""

    id: UUID
    slug: str
    name: str
    projects: tuple[ListedProject, ...]
    variations: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ShownDeployment:
    """A project's active deployment: its assets as `kind/slug`, and how many definitions it has."""

    id: UUID
    status: str
    assets: Mapping[str, Any]
    tools: int
    resources: int


@dataclass(frozen=True, slots=True)
class ShownProject:
    """What a project has: its deployment, prompts by name, configuration by key, and the paths of its toolsets."""

    id: UUID
    organization_id: UUID
    path: str
    slug: str
    name: str
    deployment: ShownDeployment | None
    prompts: Mapping[str, Any]
    config: Mapping[str, Any]
    toolsets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ListedItem:
    """A tool or a resource that a toolset lists; `name` is None if no definition has its URN, and `provided` is false
    if a prompt does not provide it either."""

    urn: str
    position: int
    name: str | None
    provided: bool


@dataclass(frozen=True, slots=True)
class ShownToolset:
    """What a toolset has of its own: its lists, settings and variations by URN. What it shares is its project's
    (`ShownProject`) and its organization's (`ShownOrganization`)."""

    id: UUID
    project_id: UUID
    organization_id: UUID
    path: str
    slug: str
    name: str
    description: str | None
    settings: Any
    mode: str
    current_release_number: int | None
    tools: tuple[ListedItem, ...]
    resources: tuple[ListedItem, ...]
    variations: Mapping[str, Any]
