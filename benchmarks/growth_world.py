"""Toolsets of any size, and toolsets with any history, in plain SQL.

`provided` toolsets have their tools from the project's active deployment, as in real life; `listed` ones list tools
that nothing provides, so that the list of tools is all that grows.
"""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from benchmarks import world

Kind = Literal["listed", "provided"]
_NUMBERS = {"listed": 1_000_000, "provided": 2_000_000}
_HISTORY_NUMBERS = 3_000_000
FEW = 10

_OWNERS = """
    WITH project AS (
        INSERT INTO projects (organization_id, slug, name) SELECT id, :slug, :slug FROM organizations LIMIT 1
        RETURNING id, organization_id)
    INSERT INTO toolsets (organization_id, project_id, slug, name)
    SELECT organization_id, id, :slug, 'Toolset ' || :slug FROM project
    RETURNING id AS toolset_id, project_id
"""

_TOOLS = """
    INSERT INTO toolset_tools (toolset_id, tool_urn, position)
    SELECT :toolset_id, 'tools:http:api:tool_' || item, item - 1 FROM generate_series(1, :tools) AS item
"""

_DEPLOYMENT = "INSERT INTO deployments (project_id, status) VALUES (:project_id, 'completed') RETURNING id"

_DEFINITIONS = """
    INSERT INTO tool_definitions (deployment_id, urn, name, description, definition)
    SELECT :deployment_id, 'tools:http:api:tool_' || item, 'tool_' || item, 'Does what tool ' || item || ' does.',
           jsonb_build_object(
               'method', 'POST', 'path', '/v1/things/{thing}/tool_' || item, 'timeout', 30,
               'schema', '{"type": "object", "properties": {"thing": {"type": "string"}}}'::jsonb)
    FROM generate_series(1, :tools) AS item
"""

_ACTIVATE = "UPDATE projects SET active_deployment_id = :deployment_id WHERE id = :project_id"

_EDIT_TOOLS = """
    UPDATE toolset_tools SET position = position % CAST(:tools AS int) + CAST(:tools AS int) * :epoch
    WHERE toolset_id = :toolset_id AND position % CAST(:tools AS int) < :changed
"""

_EDIT_DEFINITIONS = """
    UPDATE tool_definitions SET definition = jsonb_set(definition, '{timeout}', to_jsonb(1000 + CAST(:epoch AS int)))
    WHERE deployment_id = :deployment_id AND split_part(urn, '_', 2)::int <= :changed
"""

_ID = "md5(:slug || '{} ' || {})::uuid"

# Every release of the history has a version of its own, and a request; the chains of predecessors are complete. The
# foreign keys are checked row by row with a plan that was made for a small table: it must not be to read all of it.
_HISTORY = (
    "SET LOCAL enable_seqscan = off",
    f"""
    INSERT INTO toolset_versions (id, toolset_id, version, tool_urns, resource_urns, name, digest, predecessor_id)
    SELECT {_ID.format("version", "item")}, :toolset_id, item, ARRAY['tools:http:api:tool_' || item], '{{}}', 'Old',
           encode(sha256(item::text::bytea), 'hex'),
           CASE WHEN item > 1 THEN {_ID.format("version", "item - 1")} END
    FROM generate_series(1, :releases) AS item
    """,
    f"""
    INSERT INTO toolset_releases (id, toolset_id, release_number, toolset_version_id, digest, predecessor_id,
                                  released_by, request_id)
    SELECT {_ID.format("release", "item")}, :toolset_id, item, {_ID.format("version", "item")},
           encode(sha256(item::text::bytea), 'hex'),
           CASE WHEN item > 1 THEN {_ID.format("release", "item - 1")} END, 'history', :slug || ' ' || item
    FROM generate_series(1, :releases) AS item
    """,
    """
    INSERT INTO release_requests (id, kind, toolset_id, payload, status, attempts, requested_by, finished_at)
    SELECT :slug || ' ' || item, 'create_release', :toolset_id, '{"actor": "history"}', 'succeeded', 1, 'history',
           now()
    FROM generate_series(1, :releases) AS item
    """,
    f"""
    UPDATE toolsets SET current_release_id = {_ID.format("release", ":releases")} WHERE id = :toolset_id
    """,
)


@dataclass
class GrownToolset:
    """A toolset, and the deployments between which its project is switched."""

    number: int
    toolset_id: UUID
    project_id: UUID
    tools: int
    deployments: dict[int, UUID]  # by how many of their definitions the edits change
    epoch: int = 0

    @property
    def path(self) -> str:
        return world.path(self.number)


def build_toolset(connection: Connection, kind: Kind, tools: int, *, number: int | None = None) -> GrownToolset:
    """A toolset of so many tools, and where it is `provided` a deployment to serve and one for each kind of edit."""
    number = number or _NUMBERS[kind] + tools
    organization = connection.execute(text(_OWNERS), {"slug": str(number)}).one()
    owners = dict(organization._mapping)
    connection.execute(text(_TOOLS), {**owners, "tools": tools})
    built = GrownToolset(number, owners["toolset_id"], owners["project_id"], tools, {})
    if kind == "provided":
        for changed in (0, FEW, tools):
            deployment_id = connection.execute(text(_DEPLOYMENT), owners).scalar_one()
            connection.execute(text(_DEFINITIONS), {"deployment_id": deployment_id, "tools": tools})
            built.deployments[changed] = deployment_id
        connection.execute(text(_ACTIVATE), {**owners, "deployment_id": built.deployments[0]})
    return built


def build_history(connection: Connection, releases: int) -> GrownToolset:
    """An ordinary toolset that has been released so often."""
    number = _HISTORY_NUMBERS + releases
    built = build_toolset(connection, "provided", world.TOOLS, number=number)
    values = {"slug": str(number), "toolset_id": built.toolset_id, "releases": releases}
    for statement in _HISTORY:
        connection.execute(text(statement), values)
    return built


def edit(connection: Connection, toolset: GrownToolset, changed: int) -> None:
    """Move so many tools, and activate a deployment in which as many are defined otherwise than ever before."""
    toolset.epoch += 1
    values = {
        "toolset_id": toolset.toolset_id,
        "project_id": toolset.project_id,
        "tools": toolset.tools,
        "epoch": toolset.epoch,
        "changed": changed,
        "deployment_id": toolset.deployments.get(changed),
    }
    connection.execute(text(_EDIT_TOOLS), values)
    if toolset.deployments:
        connection.execute(text(_EDIT_DEFINITIONS), values)
        connection.execute(text(_ACTIVATE), values)


def tidy(engine: Engine) -> None:
    """What autovacuum would do some time later, done now, so that no turn pays for another's dead rows."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        tables = "toolset_tools, tool_definitions, toolset_versions, toolset_releases, release_requests"
        connection.execute(text(f"VACUUM ANALYZE {tables}"))
