"""Edits of each component's state as an app makes them, small ones, for `exercise_component`."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from release_worker.testing import Edit, Owner


def edit(name: str, *statements: str) -> Edit:
    """An edit that runs these statements, which may refer to the ids of the owner."""

    def run(connection: Connection, owner: Owner) -> None:
        for statement in statements:
            connection.execute(text(statement), owner.parameters)

    run.__name__ = name
    return run


def _membership(table: str, urn: str) -> Sequence[Edit]:
    insert = f"INSERT INTO {table} (toolset_id, {urn}, position) VALUES (:toolset_id"
    return (
        edit("adding", f"{insert}, 'a', 0), (:toolset_id, 'b', 1), (:toolset_id, 'C', 1)"),
        edit("moving", f"UPDATE {table} SET position = 7 WHERE toolset_id = :toolset_id AND {urn} = 'a'"),
        edit("removing", f"DELETE FROM {table} WHERE toolset_id = :toolset_id AND {urn} = 'b'"),
        edit("emptying", f"DELETE FROM {table} WHERE toolset_id = :toolset_id"),
    )


def _variations(toolset: str, condition: str) -> Sequence[Edit]:
    insert = "INSERT INTO variations (organization_id, toolset_id, tool_urn, config) VALUES (:organization_id"
    where = f"WHERE organization_id = :organization_id AND {condition}"
    return (
        edit("adding", f"{insert}, {toolset}, 'a', '{{\"x\": 1.50}}'), (:organization_id, {toolset}, 'b', 'null')"),
        edit("changing", f"UPDATE variations SET config = '[1]' {where} AND tool_urn = 'a'"),
        edit("removing", f"DELETE FROM variations {where} AND tool_urn = 'b'"),
        edit("emptying", f"DELETE FROM variations {where}"),
    )


_ACTIVE = "(SELECT active_deployment_id FROM projects WHERE id = :project_id)"
_DEPLOYED = """
    WITH made AS (INSERT INTO deployments (project_id, status) VALUES (:project_id, 'completed') RETURNING id)
    UPDATE projects SET active_deployment_id = made.id FROM made WHERE projects.id = :project_id
"""
_DEPLOYMENT = (
    edit("deploying", _DEPLOYED),
    edit(
        "defining",
        f"INSERT INTO tool_definitions (deployment_id, urn, name) VALUES ({_ACTIVE}, 'a', 'A'), ({_ACTIVE}, 'b', 'B')",
    ),
    edit(
        "providing",
        f"INSERT INTO resource_definitions (deployment_id, urn, name) VALUES ({_ACTIVE}, 'r', 'R')",
        "INSERT INTO deployment_assets (deployment_id, kind, slug, name, sha256, config)"
        f" VALUES ({_ACTIVE}, 'function', 'f/g', 'F', 'abc', '{{\"n\": 12345678901234567890}}')",
    ),
    edit("redefining", f"UPDATE tool_definitions SET definition = '[1]' WHERE urn = 'a' AND deployment_id = {_ACTIVE}"),
    edit("reconfiguring", f"UPDATE deployment_assets SET config = 'null' WHERE deployment_id = {_ACTIVE}"),
    edit("failing", f"UPDATE deployments SET status = 'failed' WHERE id = {_ACTIVE}"),
    edit("removing", f"DELETE FROM resource_definitions WHERE deployment_id = {_ACTIVE}"),
    edit("replacing", _DEPLOYED),
    edit("retiring", "UPDATE projects SET active_deployment_id = NULL WHERE id = :project_id"),
)

_PROMPT = "WHERE project_id = :project_id AND deleted_at IS NULL AND name ="
_SYSTEM = (
    edit("configuring", "INSERT INTO system_configs VALUES (:project_id, 'a', '1.0'), (:project_id, 'b', 'null')"),
    edit("reconfiguring", "UPDATE system_configs SET value = '{}' WHERE project_id = :project_id AND key = 'a'"),
    edit("unconfiguring", "DELETE FROM system_configs WHERE project_id = :project_id AND key = 'b'"),
    edit(
        "prompting",
        "INSERT INTO prompt_templates (project_id, name, prompt, arguments)"
        " VALUES (:project_id, 'p', 'P', NULL), (:project_id, 'q', 'Q', 'null')",
    ),
    edit("rephrasing", f"UPDATE prompt_templates SET prompt = 'PP', arguments = 'null' {_PROMPT} 'p'"),
    edit("deleting", f"UPDATE prompt_templates SET deleted_at = now() {_PROMPT} 'q'"),
)

_SETTINGS = (
    edit("renaming", "UPDATE toolsets SET name = 'Other' WHERE id = :toolset_id"),
    edit("describing", "UPDATE toolsets SET description = '' WHERE id = :toolset_id"),
    edit("setting", "UPDATE toolsets SET settings = '{\"a\": [null, 1.10]}' WHERE id = :toolset_id"),
    edit("undescribing", "UPDATE toolsets SET description = NULL, settings = '{}' WHERE id = :toolset_id"),
)

BUILT_IN_EDITS: Mapping[str, Sequence[Edit]] = {
    "tools": _membership("toolset_tools", "tool_urn"),
    "resources": _membership("toolset_resources", "resource_urn"),
    "settings": _SETTINGS,
    "deployment": _DEPLOYMENT,
    "system": _SYSTEM,
    "global_variations": _variations("NULL", "toolset_id IS NULL"),
    "toolset_variations": _variations(":toolset_id", "toolset_id = :toolset_id"),
}


def flag_edits(owner: str) -> Sequence[Edit]:
    """Of the table `flags`, whose owner is the toolset, the project or the organization."""
    given = f"WHERE owner_id = :{owner}_id"
    return (
        edit(
            "adding",
            f"INSERT INTO flags VALUES (:{owner}_id, 'a', '1'), (:{owner}_id, 'b', '2')",
            f"INSERT INTO flags VALUES (:{owner}_id, 'c', '12345678901234567890.10')",
        ),
        edit("changing", f"UPDATE flags SET value = 'null' {given} AND name = 'a'"),
        edit("removing", f"DELETE FROM flags {given} AND name = 'b'"),
        edit("emptying", f"DELETE FROM flags {given}"),
    )
