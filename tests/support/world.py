"""Builders of live state: an organization, its projects, their deployments, toolsets, prompts and variations.

They write what an app writes, and nothing of the product's code is used.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from tests.support.exact_json import Json
from tests.support.rows import SQL_NULL, Rows

AssetKind = Literal["openapiv3", "function", "package"]


class World:
    """Everything in one database. Within `transaction()`, all that its parts write commits together."""

    def __init__(self, engine: Engine) -> None:
        self.rows = Rows(engine)

    def transaction(self) -> AbstractContextManager[Connection]:
        return self.rows.transaction()

    def organization(self, slug: str) -> "Organization":
        organization_id = self.rows.insert("organizations", slug=slug, name=slug.title())
        return Organization(self.rows, organization_id, slug)


@dataclass(frozen=True)
class Organization:
    rows: Rows
    id: UUID
    slug: str

    def project(self, slug: str) -> "Project":
        project_id = self.rows.insert("projects", organization_id=self.id, slug=slug, name=slug.title())
        return Project(self.rows, project_id, self, slug)

    def vary(self, urn: str, config: Json) -> None:
        """Write a global variation."""
        _vary(self.rows, self.id, None, urn, config)

    def unvary(self, urn: str) -> None:
        self.rows.delete("variations", {"organization_id": self.id, "toolset_id": None, "tool_urn": urn})


@dataclass(frozen=True)
class Project:
    rows: Rows
    id: UUID
    organization: Organization
    slug: str

    def toolset(self, slug: str, *, tools: Sequence[str] = (), resources: Sequence[str] = ()) -> "Toolset":
        """A toolset that lists these at positions 0, 1, 2, …"""
        toolset_id = self.rows.insert(
            "toolsets", organization_id=self.organization.id, project_id=self.id, slug=slug, name=slug.title()
        )
        toolset = Toolset(self.rows, toolset_id, self, slug)
        for position, urn in enumerate(tools):
            toolset.add_tool(urn, position)
        for position, urn in enumerate(resources):
            toolset.add_resource(urn, position)
        return toolset

    def deploy(
        self,
        *,
        tools: Mapping[str, Json] | None = None,
        resources: Mapping[str, Json] | None = None,
        assets: Mapping[tuple[AssetKind, str], Json] | None = None,
        activate: bool = True,
    ) -> "Deployment":
        """A completed deployment of these definitions by URN and asset configurations by kind and slug."""
        deployment = Deployment(self.rows, self.rows.insert("deployments", project_id=self.id, status="completed"))
        for urn, definition in (tools or {}).items():
            deployment.define_tool(urn, definition)
        for urn, definition in (resources or {}).items():
            deployment.define_resource(urn, definition)
        for (kind, slug), config in (assets or {}).items():
            deployment.attach(kind, slug, config)
        if activate:
            self.activate(deployment)
        return deployment

    def activate(self, deployment: "Deployment | None") -> None:
        """Make a deployment the active one; None for no deployment."""
        self.rows.update("projects", {"id": self.id}, active_deployment_id=deployment.id if deployment else None)

    def active(self) -> "Deployment | None":
        """The active deployment, whoever made it so."""
        query = text("SELECT active_deployment_id FROM projects WHERE id = :id")
        with self.rows.transaction() as connection:
            deployment_id = connection.execute(query, {"id": self.id}).scalar_one()
        return None if deployment_id is None else Deployment(self.rows, deployment_id)

    def configure(self, key: str, value: Json) -> None:
        """Write one key of the system configuration."""
        if not self.rows.update("system_configs", {"project_id": self.id, "key": key}, value=value):
            self.rows.insert("system_configs", project_id=self.id, key=key, value=value)

    def unconfigure(self, key: str) -> None:
        self.rows.delete("system_configs", {"project_id": self.id, "key": key})

    def add_prompt(self, name: str, **columns: Any) -> UUID:
        """A prompt template; without `arguments` they are SQL NULL, and None is the JSON value `null`."""
        columns = {"prompt": f"This is {name}.", "arguments": SQL_NULL, **columns}
        return self.rows.insert("prompt_templates", project_id=self.id, name=name, **columns)

    def edit_prompt(self, name: str, **columns: Any) -> None:
        self.rows.update("prompt_templates", {"project_id": self.id, "name": name, "deleted_at": None}, **columns)

    def delete_prompt(self, name: str) -> None:
        """Delete as the apps do, softly."""
        self.edit_prompt(name, deleted_at="now")


@dataclass(frozen=True)
class Deployment:
    rows: Rows
    id: UUID

    def define_tool(self, urn: str, definition: Json, **columns: Any) -> None:
        self._define("tool_definitions", urn, definition, columns)

    def define_resource(self, urn: str, definition: Json, **columns: Any) -> None:
        self._define("resource_definitions", urn, definition, columns)

    def edit_tool(self, urn: str, **columns: Any) -> None:
        self.rows.update("tool_definitions", {"deployment_id": self.id, "urn": urn}, **columns)

    def edit_resource(self, urn: str, **columns: Any) -> None:
        self.rows.update("resource_definitions", {"deployment_id": self.id, "urn": urn}, **columns)

    def remove_tool(self, urn: str) -> None:
        self.rows.delete("tool_definitions", {"deployment_id": self.id, "urn": urn})

    def remove_resource(self, urn: str) -> None:
        self.rows.delete("resource_definitions", {"deployment_id": self.id, "urn": urn})

    def attach(self, kind: AssetKind, slug: str, config: Json, **columns: Any) -> None:
        """Add an asset."""
        columns = {"name": slug.title(), "sha256": sha256(slug.encode()).hexdigest(), **columns}
        self.rows.insert("deployment_assets", deployment_id=self.id, kind=kind, slug=slug, config=config, **columns)

    def edit_asset(self, kind: AssetKind, slug: str, **columns: Any) -> None:
        self.rows.update("deployment_assets", {"deployment_id": self.id, "kind": kind, "slug": slug}, **columns)

    def detach(self, kind: AssetKind, slug: str) -> None:
        self.rows.delete("deployment_assets", {"deployment_id": self.id, "kind": kind, "slug": slug})

    def delete(self) -> None:
        """Delete for good, with all that it provides."""
        self.rows.delete("deployments", {"id": self.id})

    def _define(self, table: str, urn: str, definition: Json, columns: Mapping[str, Any]) -> None:
        named = {"name": urn.rpartition(":")[2], **columns}
        self.rows.insert(table, deployment_id=self.id, urn=urn, definition=definition, **named)


@dataclass(frozen=True)
class Toolset:
    rows: Rows
    id: UUID
    project: Project
    slug: str

    @property
    def path(self) -> str:
        return f"{self.project.organization.slug}/{self.project.slug}/{self.slug}"

    def add_tool(self, urn: str, position: int = 0) -> None:
        self.rows.insert("toolset_tools", toolset_id=self.id, tool_urn=urn, position=position)

    def add_resource(self, urn: str, position: int = 0) -> None:
        self.rows.insert("toolset_resources", toolset_id=self.id, resource_urn=urn, position=position)

    def move_tool(self, urn: str, position: int) -> None:
        self.rows.update("toolset_tools", {"toolset_id": self.id, "tool_urn": urn}, position=position)

    def move_resource(self, urn: str, position: int) -> None:
        self.rows.update("toolset_resources", {"toolset_id": self.id, "resource_urn": urn}, position=position)

    def remove_tool(self, urn: str) -> None:
        self.rows.delete("toolset_tools", {"toolset_id": self.id, "tool_urn": urn})

    def remove_resource(self, urn: str) -> None:
        self.rows.delete("toolset_resources", {"toolset_id": self.id, "resource_urn": urn})

    def edit(self, **columns: Any) -> None:
        """Set `name`, `description`, `settings` or any other column."""
        self.rows.update("toolsets", {"id": self.id}, **columns)

    def vary(self, urn: str, config: Json) -> None:
        """Write a variation of this toolset's own."""
        _vary(self.rows, self.project.organization.id, self.id, urn, config)

    def unvary(self, urn: str) -> None:
        owner = {"organization_id": self.project.organization.id, "toolset_id": self.id}
        self.rows.delete("variations", {**owner, "tool_urn": urn})

    def delete(self) -> None:
        """Delete as the apps do, softly."""
        self.edit(deleted_at="now")


def _vary(rows: Rows, organization_id: UUID, toolset_id: UUID | None, urn: str, config: Json) -> None:
    key = {"organization_id": organization_id, "toolset_id": toolset_id, "tool_urn": urn}
    if not rows.update("variations", key, config=config):
        rows.insert("variations", **key, config=config)
