"""What is there after two actions, without ids and times: equal outcomes are the same to everybody."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import text

from tests.interleavings.stage import Stage
from tests.support.exact_json import parsed

# By path: `live/one/tools`, `releases/two/kinds`, `answers/first/status`.
Outcome = dict[str, Any]
Row = dict[str, Any]

_TABLES = (
    "toolsets", "projects", "toolset_tools", "toolset_resources", "variations", "system_configs", "prompt_templates",
    "deployments", "deployment_assets", "tool_definitions", "resource_definitions", "toolset_releases",
    "toolset_rollbacks", "release_marks", "toolset_versions", "source_states", "variation_versions",
)  # fmt: skip
_EACH = ", ".join(f"'{table}', (SELECT coalesce(json_agg(r), '[]') FROM {table} r)" for table in _TABLES)
_DUMP = text(f"SELECT CAST(json_build_object({_EACH}) AS text)")
_SLUG_OF_COPY = re.compile(r"-staging-[0-9a-f]{12}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_outcome(stage: Stage, answers: Mapping[str, Any]) -> Outcome:
    """Everything, as it is now."""
    with stage.engine.connect() as connection:
        dump: dict[str, list[Row]] = parsed(connection.execute(_DUMP).scalar_one())
    names = {str(row_id): name for row_id, name in stage.scene.names.items()}
    outcome = {**_live(dump, names), **_deployments(dump, names), **_records(dump, names)}
    outcome |= {f"answers/{role}/{field}": value for role, answer in answers.items() for field, value in answer.items()}
    return {path: _named(value, names) for path, value in outcome.items()}


def name_of(row_id: Any, slug: str, names: Mapping[Any, str]) -> str:
    """What a toolset is called here: its slug, if it was not there at the start, without what is random in it."""
    return names.get(row_id, _SLUG_OF_COPY.sub("-staging", slug))


def difference(actual: Outcome, expected: Outcome) -> list[str]:
    """The paths that differ, as deep as they go, with both values."""
    return list(_differences("", actual, expected))


def _differences(path: str, actual: Any, expected: Any) -> Iterator[str]:
    if actual == expected:
        return
    if isinstance(actual, dict) and isinstance(expected, dict):
        for key in sorted(actual.keys() | expected.keys(), key=str):
            yield from _differences(f"{path}/{key}" if path else str(key), actual.get(key), expected.get(key))
    else:
        yield f"{path}: {_shown(actual)} instead of {_shown(expected)}"


def _live(dump: dict[str, list[Row]], names: Mapping[str, str]) -> Outcome:
    outcome: Outcome = {}
    for row in dump["toolsets"]:
        at = f"live/{name_of(row['id'], row['slug'], names)}"
        own = {name: [one for one in dump[name] if one["toolset_id"] == row["id"]] for name in _OF_TOOLSETS}
        outcome[f"{at}/slug"], outcome[f"{at}/deleted"] = row["slug"], row["deleted_at"] is not None
        outcome[f"{at}/mode"], outcome[f"{at}/parent"] = row["editing_mode"], row["parent_toolset_id"]
        outcome[f"{at}/settings"] = {name: row[name] for name in ("name", "description", "settings")}
        outcome[f"{at}/tools"] = {one["tool_urn"]: one["position"] for one in own["toolset_tools"]}
        outcome[f"{at}/resources"] = {one["resource_urn"]: one["position"] for one in own["toolset_resources"]}
        outcome[f"{at}/toolset_variations"] = {one["tool_urn"]: one["config"] for one in own["variations"]}
    shared = [row for row in dump["variations"] if row["toolset_id"] is None]
    outcome["live/acme/global_variations"] = {row["tool_urn"]: row["config"] for row in shared}
    outcome["live/shop/active"] = {names[row["id"]]: row["active_deployment_id"] for row in dump["projects"]}
    outcome["live/shop/config"] = {row["key"]: row["value"] for row in dump["system_configs"]}
    outcome["live/shop/prompts"] = sorted(map(_prompt, dump["prompt_templates"]), key=repr)
    return outcome


_OF_TOOLSETS = ("toolset_tools", "toolset_resources", "variations")


def _prompt(row: Row) -> Row:
    fields = ("name", "description", "prompt", "engine", "kind", "arguments", "tool_urn")
    return {**{name: row[name] for name in fields}, "deleted": row["deleted_at"] is not None}


def _deployments(dump: dict[str, list[Row]], names: Mapping[str, str]) -> Outcome:
    """By name those that were there, and what is in the others."""
    fields = {
        "deployment_assets": ("kind", "slug", "name", "sha256", "config"),
        "tool_definitions": ("urn", "name", "description", "definition"),
        "resource_definitions": ("urn", "name", "description", "definition"),
    }

    def content(row: Row) -> Row:
        parts = {
            table: sorted(
                ([one[name] for name in columns] for one in dump[table] if one["deployment_id"] == row["id"]), key=repr
            )
            for table, columns in fields.items()
        }
        return {"status": row["status"], "cloned_from": row["cloned_from"], **parts}

    known = {f"deployments/{names[row['id']]}": content(row) for row in dump["deployments"] if row["id"] in names}
    new = [content(row) for row in dump["deployments"] if row["id"] not in names]
    return {**known, "deployments/new": sorted(new, key=repr)}


def _records(dump: dict[str, list[Row]], names: Mapping[str, str]) -> Outcome:
    """What releases and rollbacks say, by the numbers of releases."""
    parts = {
        row["id"]: {name: value for name, value in row.items() if name not in ("id", "predecessor_id", "created_at")}
        for table in ("toolset_versions", "source_states", "variation_versions")
        for row in dump[table]
    }
    numbers = {row["id"]: row["release_number"] for row in dump["toolset_releases"]}
    columns = ("toolset_version_id", "source_state_id", "global_variations_version_id", "toolset_variations_version_id")
    outcome: Outcome = {}
    for toolset in (one for one in dump["toolsets"] if one["id"] in names):
        at = f"releases/{names[toolset['id']]}"
        rows = {r["release_number"]: r for r in dump["toolset_releases"] if r["toolset_id"] == toolset["id"]}
        rows = dict(sorted(rows.items()))
        outcome[f"{at}/kinds"] = {number: row["kind"] for number, row in rows.items()}
        outcome[f"{at}/current"] = numbers.get(toolset["current_release_id"])
        outcome[f"{at}/predecessors"] = {number: numbers.get(row["predecessor_id"]) for number, row in rows.items()}
        outcome[f"{at}/labels"] = {number: row["labels"] for number, row in rows.items()}
        outcome[f"{at}/digests"] = {number: row["digest"] for number, row in rows.items()}
        said = sorted(dump["release_marks"], key=lambda row: row["created_at"])
        ids = {row["id"] for row in rows.values()}
        outcome[f"{at}/marks"] = [(numbers[row["release_id"]], row["mark"]) for row in said if row["release_id"] in ids]
        for number, row in rows.items():
            outcome[f"{at}/{number}"] = {column: parts.get(row[column]) for column in columns}
        done = [row for row in dump["toolset_rollbacks"] if row["toolset_id"] == toolset["id"]]
        outcome[f"rollbacks/{names[toolset['id']]}"] = [
            {
                **{column: numbers.get(row[f"{column}_release_id"]) for column in ("from", "to", "backup")},
                "components": row["components"],
                "changes": row["changes"],
            }
            for row in sorted(done, key=lambda row: row["created_at"])
        ]
    return outcome


def _named(value: Any, names: Mapping[str, str]) -> Any:
    """With the names of the rows that were there at the start, and one word for all new ones."""
    match value:
        case dict():
            return {key: _named(item, names) for key, item in value.items()}
        case list() | tuple():
            return [_named(item, names) for item in value]
        case str() if len(value) >= 21:
            return _SLUG_OF_COPY.sub("-staging", _UUID.sub(lambda found: names.get(found[0], "new"), value))
        case _:
            return value


def _shown(value: Any) -> str:
    shown = json.dumps(value, default=str)
    return shown if len(shown) < 200 else f"{shown[:200]}…"
