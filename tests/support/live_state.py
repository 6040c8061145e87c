"""Live state as a test sees it: plain reads of each table, put together in Python; nothing of the product's SQL."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from tests.support.exact_json import exact, parsed
from tests.support.world import Toolset

LiveState = dict[str, Any]


def live_state(engine: Engine, toolset: Toolset | UUID) -> LiveState:
    """All that a release of the toolset captures, by component, read at one moment.

    JSON columns are shown as their exact text (`exact_json.exact`), so that `true` and `1` differ while `1.0` and
    `1.00` do not; SQL NULL is None. Row ids and times are not state.
    """
    toolset_id = toolset if isinstance(toolset, UUID) else toolset.id
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return _Reader(connection, toolset_id).read()


class _Reader:
    def __init__(self, connection: Connection, toolset_id: UUID) -> None:
        self._connection = connection
        found = connection.execute(
            text("SELECT organization_id, project_id, name, description, settings::text FROM toolsets WHERE id = :id"),
            {"id": toolset_id},
        ).one()
        self._settings = found
        self._ids = {"toolset": toolset_id, "project": found.project_id, "organization": found.organization_id}

    def read(self) -> LiveState:
        return {
            "tools": dict(self._rows("SELECT tool_urn, position FROM toolset_tools WHERE toolset_id = :toolset")),
            "resources": dict(
                self._rows("SELECT resource_urn, position FROM toolset_resources WHERE toolset_id = :toolset")
            ),
            "settings": {
                "name": self._settings.name,
                "description": self._settings.description,
                "settings": _json(self._settings.settings),
            },
            "deployment": self._deployment(),
            "system": {"config": self._config(), "prompts": self._prompts()},
            "global_variations": self._variations("organization_id = :organization AND toolset_id IS NULL"),
            "toolset_variations": self._variations("toolset_id = :toolset"),
        }

    def _deployment(self) -> LiveState | None:
        active = self._rows(
            "SELECT id, status FROM deployments"
            " WHERE id = (SELECT active_deployment_id FROM projects WHERE id = :project)"
        )
        if not active:
            return None
        [(deployment, status)] = active
        assets = self._rows(
            "SELECT kind, slug, name, sha256, config::text FROM deployment_assets WHERE deployment_id = :deployment",
            deployment=deployment,
        )
        return {
            "status": status,
            "assets": {
                f"{kind}/{slug}": {"name": name, "sha256": sha256, "config": _json(config)}
                for kind, slug, name, sha256, config in assets
            },
            "tools": self._definitions("tool_definitions", deployment),
            "resources": self._definitions("resource_definitions", deployment),
        }

    def _definitions(self, table: str, deployment: UUID) -> LiveState:
        rows = self._rows(
            f"SELECT urn, name, description, definition::text FROM {table} WHERE deployment_id = :deployment",
            deployment=deployment,
        )
        return {
            urn: {"name": name, "description": description, "definition": _json(definition)}
            for urn, name, description, definition in rows
        }

    def _config(self) -> LiveState:
        rows = self._rows("SELECT key, value::text FROM system_configs WHERE project_id = :project")
        return {key: _json(value) for key, value in rows}

    def _prompts(self) -> LiveState:
        rows = self._rows(
            "SELECT name, description, prompt, engine, kind, arguments::text, tool_urn"
            " FROM prompt_templates WHERE project_id = :project AND deleted_at IS NULL"
        )
        return {
            name: {
                "description": description,
                "prompt": prompt,
                "engine": engine,
                "kind": kind,
                "arguments": _json(arguments),
                "tool_urn": tool_urn,
            }
            for name, description, prompt, engine, kind, arguments, tool_urn in rows
        }

    def _variations(self, owner: str) -> LiveState:
        rows = self._rows(f"SELECT tool_urn, config::text FROM variations WHERE {owner}")
        return {urn: _json(config) for urn, config in rows}

    def _rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._connection.execute(text(query), {**self._ids, **values})]


def _json(column: str | None) -> str | None:
    return None if column is None else exact(parsed(column))
