"""The rows that hold what releases captured: each content once, written by `INSERT … SELECT`, never edited.

Contents are SQL expressions by component name (see `state.component`); they are evaluated inside PostgreSQL, and only
for a row whose digest is new.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection, text

from release_worker.domain.digests import NOTHING, StateDigests
from release_worker.domain.subject import Scope, Subject

Contents = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ToolsetVersion:
    id: UUID
    version: int


@dataclass(frozen=True, slots=True)
class Parts:
    """The rows that a release refers to."""

    toolset_version: ToolsetVersion
    source_state_id: UUID
    global_variations_id: UUID | None
    toolset_variations_id: UUID | None
    plug_in_ids: Mapping[str, UUID] = field(default_factory=dict)


def store_parts(
    connection: Connection,
    subject: Subject,
    *,
    contents: Contents,
    digests: StateDigests,
    plug_in_scopes: Mapping[str, Scope],
) -> Parts:
    """The rows with this content: those that are there already, new ones for what differs."""
    latest = _latest(connection, subject, digests)
    return Parts(
        toolset_version=_toolset_version(
            connection, subject, contents, digests.toolset_version, latest.toolset_version
        ),
        source_state_id=latest.source_state_id or _source_state(connection, subject, contents, digests.source_state),
        global_variations_id=_variations(connection, subject, contents, digests, "global", latest.global_variations),
        toolset_variations_id=_variations(connection, subject, contents, digests, "toolset", latest.toolset_variations),
        # Also where there is no content: a rollback to this release then removes what came later.
        plug_in_ids={
            name: _component_state(connection, subject, name, scope, contents[name], digests[name] or NOTHING)
            for name, scope in plug_in_scopes.items()
        },
    )


@dataclass(frozen=True, slots=True)
class _Version:
    """The newest row of a chain of versions; all None where the chain has not begun."""

    id: UUID | None
    version: int | None
    digest: str | None

    @property
    def next(self) -> int:
        return 1 if self.version is None else self.version + 1


@dataclass(frozen=True, slots=True)
class _Latest:
    toolset_version: _Version
    global_variations: _Version
    toolset_variations: _Version
    source_state_id: UUID | None


def _latest(connection: Connection, subject: Subject, digests: StateDigests) -> _Latest:
    """What new content is compared with, in one round trip: most releases change little or nothing."""
    query = """
        SELECT toolset.id, toolset.version, toolset.digest,
               shared.id, shared.version, shared.digest,
               own.id, own.version, own.digest,
               (SELECT id FROM source_states WHERE project_id = :project_id AND digest = :source_state)
        FROM (VALUES (1)) AS always
        LEFT JOIN LATERAL (
            SELECT id, version, digest FROM toolset_versions
            WHERE toolset_id = :toolset_id ORDER BY version DESC LIMIT 1) AS toolset ON true
        LEFT JOIN LATERAL (
            SELECT id, version, digest FROM variation_versions
            WHERE organization_id = :organization_id AND toolset_id IS NULL
            ORDER BY version DESC LIMIT 1) AS shared ON true
        LEFT JOIN LATERAL (
            SELECT id, version, digest FROM variation_versions
            WHERE organization_id = :organization_id AND toolset_id = :toolset_id
            ORDER BY version DESC LIMIT 1) AS own ON true
    """
    row = connection.execute(text(query), {**subject.parameters, "source_state": digests.source_state}).one()
    return _Latest(_Version(*row[0:3]), _Version(*row[3:6]), _Version(*row[6:9]), row[9])


def link_plug_ins(connection: Connection, release_id: UUID, parts: Parts) -> None:
    """Say which plug-in contents a release has."""
    link = """
        INSERT INTO release_components (release_id, component, component_state_id)
        VALUES (:release_id, :component, :state_id)
    """
    rows = [
        {"release_id": release_id, "component": name, "state_id": state_id}
        for name, state_id in parts.plug_in_ids.items()
    ]
    if rows:
        connection.execute(text(link), rows)


def _toolset_version(
    connection: Connection, subject: Subject, contents: Contents, digest: str, latest: _Version
) -> ToolsetVersion:
    if latest.id is not None and latest.version is not None and latest.digest == digest:
        return ToolsetVersion(latest.id, latest.version)
    insert = f"""
        INSERT INTO toolset_versions (
            toolset_id, version, tool_urns, tool_positions, resource_urns, resource_positions,
            name, description, settings, digest, predecessor_id)
        SELECT :toolset_id, :version,
               {_array("tools", "urns", "text")}, {_array("tools", "positions", "int")},
               {_array("resources", "urns", "text")}, {_array("resources", "positions", "int")},
               settings ->> 'name', settings ->> 'description', settings -> 'settings',
               :digest, CAST(:predecessor_id AS uuid)
        FROM (SELECT {contents["tools"]} AS tools, {contents["resources"]} AS resources,
                     {contents["settings"]} AS settings) AS live
        RETURNING id, version
    """
    parameters = {
        **subject.parameters,
        "version": latest.next,
        "digest": digest,
        "predecessor_id": latest.id,
    }
    return ToolsetVersion(*connection.execute(text(insert), parameters).one())


def _array(component: str, member: str, of: Literal["text", "int"]) -> str:
    return f"ARRAY(SELECT item::{of} FROM jsonb_array_elements_text({component} -> '{member}') AS item)"


def _source_state(connection: Connection, subject: Subject, contents: Contents, digest: str) -> UUID:
    insert = f"""
        INSERT INTO source_states (project_id, deployment_id, deployment_snapshot, system_snapshot, digest)
        SELECT id, active_deployment_id, coalesce({contents["deployment"]}, 'null'), {contents["system"]}, :digest
        FROM projects WHERE id = :project_id
        RETURNING id
    """
    parameters = {**subject.parameters, "digest": digest}
    return UUID(str(connection.execute(text(insert), parameters).scalar_one()))


def _variations(
    connection: Connection,
    subject: Subject,
    contents: Contents,
    digests: StateDigests,
    scope: Literal["global", "toolset"],
    latest: _Version,
) -> UUID | None:
    name = f"{scope}_variations"
    if digests[name] is None:
        return None
    if latest.digest == digests[name]:
        return latest.id
    insert = f"""
        INSERT INTO variation_versions (scope, organization_id, toolset_id, version, config, digest, predecessor_id)
        SELECT :scope, :organization_id, {":toolset_id" if scope == "toolset" else "CAST(NULL AS uuid)"},
               :version, {contents[name]}, :digest, CAST(:predecessor_id AS uuid)
        RETURNING id
    """
    parameters = {
        **subject.parameters,
        "scope": scope,
        "version": latest.next,
        "digest": digests[name],
        "predecessor_id": latest.id,
    }
    return UUID(str(connection.execute(text(insert), parameters).scalar_one()))


def _component_state(
    connection: Connection, subject: Subject, name: str, scope: Scope, content: str, digest: str
) -> UUID:
    parameters = {**subject.parameters, "component": name, "scope_id": subject.scope_id(scope), "digest": digest}
    same = """
        SELECT id FROM component_states
        WHERE component = :component AND scope_id = :scope_id AND digest = :digest
    """
    if (found := connection.execute(text(same), parameters).scalar()) is not None:
        return UUID(str(found))
    insert = f"""
        INSERT INTO component_states (component, scope_id, content, digest)
        SELECT :component, :scope_id, coalesce({content}, 'null'), :digest
        RETURNING id
    """
    return UUID(str(connection.execute(text(insert), parameters).scalar_one()))
