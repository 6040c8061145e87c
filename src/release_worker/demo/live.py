"""Live state as its raw rows say it: read table by table, put together, digested and compared in Python alone.

A release's digest comes from PostgreSQL; that this one is the same shows that it can be recomputed outside of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from release_worker.demo.database import Database, Execute
from release_worker.domain import canonical_json
from release_worker.domain.digests import StateDigests

Json = Any
ItemKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class LiveState:
    """The content of each component, in the form that `release_worker.domain.digests` documents."""

    contents: Mapping[str, Json]

    @property
    def digest(self) -> str:
        """The digest of a release of this state."""
        return StateDigests(
            {
                name: None if content is None else canonical_json.digest(content)
                for name, content in self.contents.items()
            }
        ).release

    @property
    def items(self) -> dict[ItemKey, Json]:
        """What there is, by section (`tools`, `deployment/assets`, …) and key."""
        return {key: item for name, content in self.contents.items() for key, item in _items(name, content)}


def read_live_state(database: Database) -> LiveState:
    """The live state of the demo's toolset."""
    with database.transaction() as execute:
        [(name, description, settings)] = execute(
            "SELECT name, description, settings::text FROM ours.toolsets WHERE id = %(toolset)s"
        )
        [(deployment,)] = execute("SELECT active_deployment_id FROM ours.projects WHERE id = %(project)s")
        return LiveState(
            {
                "tools": _list(
                    execute("SELECT tool_urn, position FROM ours.toolset_tools WHERE toolset_id = %(toolset)s")
                ),
                "resources": _list(
                    execute("SELECT resource_urn, position FROM ours.toolset_resources WHERE toolset_id = %(toolset)s")
                ),
                "settings": {"name": name, "description": description, "settings": canonical_json.loads(settings)},
                "deployment": None if deployment is None else _deployment(execute, deployment),
                "system": {"config": _config(execute), "prompts": _prompts(execute)},
                "global_variations": _variations(execute, "toolset_id IS NULL"),
                "toolset_variations": _variations(execute, "toolset_id = %(toolset)s"),
            }
        )


def _list(rows: Iterable[tuple[Any, ...]]) -> Json:
    ordered = sorted(rows, key=lambda row: (row[1], row[0].encode()))
    return {"urns": [urn for urn, _ in ordered], "positions": [position for _, position in ordered]}


def _deployment(execute: Execute, deployment: object) -> Json:
    [(status,)] = execute("SELECT status FROM ours.deployments WHERE id = %(id)s", id=deployment)
    assets = execute(
        "SELECT kind || '/' || slug, name, sha256, config::text"
        " FROM ours.deployment_assets WHERE deployment_id = %(id)s",
        id=deployment,
    )
    return {
        "status": status,
        "assets": {
            key: {"name": name, "sha256": sha256, "config": canonical_json.loads(config)}
            for key, name, sha256, config in assets
        },
        "tools": _definitions(execute, "tool_definitions", deployment),
        "resources": _definitions(execute, "resource_definitions", deployment),
    }


def _definitions(execute: Execute, table: str, deployment: object) -> Json:
    rows = execute(
        f"SELECT urn, name, description, definition::text FROM ours.{table} WHERE deployment_id = %(id)s", id=deployment
    )
    return {
        urn: {"name": name, "description": description, "definition": canonical_json.loads(definition)}
        for urn, name, description, definition in rows
    }


def _config(execute: Execute) -> Json:
    rows = execute("SELECT key, value::text FROM ours.system_configs WHERE project_id = %(project)s")
    return {key: canonical_json.loads(value) for key, value in rows}


def _prompts(execute: Execute) -> Json:
    rows = execute(
        "SELECT name, description, prompt, engine, kind, tool_urn, arguments::text"
        " FROM ours.prompt_templates WHERE project_id = %(project)s AND deleted_at IS NULL"
    )
    fields = ("description", "prompt", "engine", "kind", "tool_urn")
    return {
        name: dict(zip(fields, values, strict=True))
        | ({} if arguments is None else {"arguments": canonical_json.loads(arguments)})
        for name, *values, arguments in rows
    }


def _variations(execute: Execute, owner: str) -> Json:
    rows = execute(
        f"SELECT tool_urn, config::text FROM ours.variations WHERE organization_id = %(organization)s AND {owner}"
    )
    return {urn: canonical_json.loads(config) for urn, config in rows} or None


def _items(component: str, content: Json) -> Iterable[tuple[ItemKey, Json]]:
    match component:
        case "tools" | "resources":
            return [((component, urn), place) for urn, place in zip(content["urns"], content["positions"], strict=True)]
        case "deployment" | "system":
            return [
                ((f"{component}/{section}", key), item)
                for section, members in (content or {}).items()
                if section != "status"
                for key, item in members.items()
            ]
        case _:
            return [((component, key), item) for key, item in (content or {}).items()]
