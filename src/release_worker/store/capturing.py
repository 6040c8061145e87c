"""Capturing: live state is read, digested and written down as a release by one statement.

Each component's content (see `state.component`) is evaluated once, inside PostgreSQL, and stays there. What a release
refers to are rows that hold each content once: where the newest row of a toolset, a scope or a project has the digest
already, the release refers to that one; otherwise a new row is written. No such row is ever edited.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.digests import NOTHING, PARTS, SOURCE_STATE, TOOLSET_VERSION, VARIATIONS
from release_worker.domain.release import Release, ReleaseKind
from release_worker.domain.subject import Scope, Subject
from release_worker.store.statements import parsed

Contents = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What kind of release it is, who made it, for which request, and what they said about it."""

    kind: ReleaseKind
    released_by: str
    request_id: str | None = None
    notes: str | None = None
    labels: dict[str, Any] | None = None


def capture_release(
    connection: Connection,
    subject: Subject,
    contents: Contents,
    *,
    plug_in_scopes: Mapping[str, Scope],
    predecessor_id: UUID | None,
    stamp: Stamp,
    make_current: bool,
    unless: str | None = None,
) -> Release | None:
    """Write live state down as the toolset's next release, and make that the current one where wanted.

    `contents` are SQL expressions by component name. None, and nothing written, where the digest would be `unless`.
    Numbers start at 1 and have no gaps: the toolset must be locked, and the number is unique, so that of two
    transactions that chose the same one the later gets a VersionConflict.
    """
    parameters = {
        **subject.parameters,
        "kind": stamp.kind,
        "predecessor_id": predecessor_id,
        "notes": stamp.notes,
        "labels": canonical_json.dumps(stamp.labels or {}),
        "released_by": stamp.released_by,
        "request_id": stamp.request_id,
        "make_current": make_current,
        "unless": unless,
    }
    row = connection.execute(parsed(_statement(contents, plug_in_scopes)), parameters).one_or_none()
    return None if row is None else Release(**row._mapping)


def _statement(contents: Contents, plug_in_scopes: Mapping[str, Scope]) -> str:
    steps = [
        *_state(contents, tuple(plug_in_scopes)),
        *_toolset_version(),
        *_source_state(),
        *(step for name in VARIATIONS for step in _variations(name)),
        *_release(),
        *(step for place, (name, scope) in enumerate(plug_in_scopes.items()) for step in _plug_in(place, name, scope)),
    ]
    return f"""
        WITH {", ".join(steps)}
        SELECT release.*, toolset_version.version AS toolset_version FROM release, toolset_version
    """


def _state(contents: Contents, plug_ins: Sequence[str]) -> Iterator[str]:
    """The contents, their digests, and those of what they make up; `wanted` is empty where nothing is to be written."""
    live = (f"{content} AS {_quoted(name)}" for name, content in contents.items())
    digests = (f"release_worker_digest({_quoted(name)}) AS {_quoted(name)}" for name in contents)
    yield f"live AS MATERIALIZED (SELECT {', '.join(live)})"
    yield f"digests AS MATERIALIZED (SELECT {', '.join(digests)} FROM live)"
    yield f"""
        parts AS MATERIALIZED (
            SELECT {_digest_of({name: _quoted(name) for name in TOOLSET_VERSION})} AS toolset_version,
                   {_digest_of({name: f"coalesce({name}, '{NOTHING}')" for name in SOURCE_STATE})} AS source_state,
                   {", ".join(VARIATIONS)},
                   jsonb_strip_nulls({_object({name: _quoted(name) for name in plug_ins})}) AS plug_ins
            FROM digests)
    """
    yield f"""
        wanted AS MATERIALIZED (
            SELECT digest FROM (
                SELECT release_worker_digest(
                    {_object({name: name for name in PARTS})}
                    || CASE plug_ins WHEN '{{}}' THEN '{{}}' ELSE jsonb_build_object('components', plug_ins) END
                ) AS digest
                FROM parts) AS whole
            WHERE digest IS DISTINCT FROM CAST(:unless AS text))
    """


def _toolset_version() -> Iterator[str]:
    yield """
        latest_toolset_version AS MATERIALIZED (
            SELECT id, version, digest FROM toolset_versions
            WHERE toolset_id = :toolset_id ORDER BY version DESC LIMIT 1)
    """
    yield f"""
        new_toolset_version AS (
            INSERT INTO toolset_versions (
                toolset_id, version, tool_urns, tool_positions, resource_urns, resource_positions,
                name, description, settings, digest, predecessor_id)
            SELECT :toolset_id, coalesce(latest.version, 0) + 1,
                   {_array("tools", "urns", "text")}, {_array("tools", "positions", "int")},
                   {_array("resources", "urns", "text")}, {_array("resources", "positions", "int")},
                   settings ->> 'name', settings ->> 'description', settings -> 'settings',
                   parts.toolset_version, latest.id
            FROM wanted CROSS JOIN parts CROSS JOIN (SELECT settings FROM live) AS live
            LEFT JOIN latest_toolset_version AS latest ON true
            WHERE latest.digest IS DISTINCT FROM parts.toolset_version
            RETURNING id, version)
    """
    yield """
        toolset_version AS (
            SELECT id, version FROM new_toolset_version
            UNION ALL
            SELECT id, version FROM latest_toolset_version JOIN parts ON digest = parts.toolset_version)
    """


def _array(component: str, member: str, of: str) -> str:
    return f"(SELECT {member} FROM jsonb_to_record((SELECT {component} FROM live)) AS content ({member} {of}[]))"


def _source_state() -> Iterator[str]:
    yield """
        same_source_state AS MATERIALIZED (
            SELECT id FROM source_states
            WHERE project_id = :project_id AND digest = (SELECT source_state FROM parts))
    """
    yield """
        new_source_state AS (
            INSERT INTO source_states (project_id, deployment_id, deployment_snapshot, system_snapshot, digest)
            SELECT id, active_deployment_id, coalesce((SELECT deployment FROM live), 'null'),
                   (SELECT system FROM live), parts.source_state
            FROM wanted CROSS JOIN parts CROSS JOIN projects
            WHERE projects.id = :project_id AND NOT EXISTS (SELECT FROM same_source_state)
            FOR KEY SHARE OF projects NOWAIT
            RETURNING id)
    """
    yield "source_state AS (SELECT id FROM new_source_state UNION ALL SELECT id FROM same_source_state)"


def _variations(name: str) -> Iterator[str]:
    """The version of one scope's variations; none where there are no variations."""
    scope = name.removesuffix("_variations")
    owner = ":toolset_id" if scope == "toolset" else "CAST(NULL AS uuid)"
    ours = "toolset_id = :toolset_id" if scope == "toolset" else "toolset_id IS NULL"
    yield f"""
        latest_{name} AS MATERIALIZED (
            SELECT id, version, digest FROM variation_versions
            WHERE organization_id = :organization_id AND {ours} ORDER BY version DESC LIMIT 1)
    """
    yield f"""
        new_{name} AS (
            INSERT INTO variation_versions (scope, organization_id, toolset_id, version, config, digest, predecessor_id)
            SELECT '{scope}', organizations.id, {owner}, coalesce(latest.version, 0) + 1,
                   (SELECT {name} FROM live), parts.{name}, latest.id
            FROM wanted CROSS JOIN parts CROSS JOIN organizations LEFT JOIN latest_{name} AS latest ON true
            WHERE organizations.id = :organization_id
              AND parts.{name} IS NOT NULL AND latest.digest IS DISTINCT FROM parts.{name}
            FOR KEY SHARE OF organizations NOWAIT
            RETURNING id)
    """
    yield f"""
        {name}_version AS (
            SELECT id FROM new_{name}
            UNION ALL
            SELECT id FROM latest_{name} AS latest JOIN parts ON latest.digest = parts.{name})
    """


def _release() -> Iterator[str]:
    yield """
        release AS (
            INSERT INTO toolset_releases (
                toolset_id, release_number, kind, toolset_version_id, source_state_id, global_variations_version_id,
                toolset_variations_version_id, digest, predecessor_id, notes, labels, released_by, request_id,
                deployment_id, created_at)
            SELECT :toolset_id,
                   (SELECT coalesce(max(release_number), 0) + 1 FROM toolset_releases WHERE toolset_id = :toolset_id),
                   :kind, toolset_version.id, source_state.id, (SELECT id FROM global_variations_version),
                   (SELECT id FROM toolset_variations_version), wanted.digest, CAST(:predecessor_id AS uuid), :notes,
                   CAST(:labels AS jsonb), :released_by, :request_id,
                   (SELECT active_deployment_id FROM projects WHERE id = :project_id), clock_timestamp()
            FROM wanted CROSS JOIN toolset_version CROSS JOIN source_state
            RETURNING id, toolset_id, release_number, kind, toolset_version_id, source_state_id,
                      global_variations_version_id, toolset_variations_version_id, digest, predecessor_id, notes,
                      labels, released_by, request_id, created_at)
    """
    yield """
        pointed AS (
            UPDATE toolsets SET current_release_id = release.id FROM release
            WHERE toolsets.id = :toolset_id AND :make_current)
    """


def _plug_in(place: int, name: str, scope: Scope) -> Iterator[str]:
    """A plug-in's content, and the release's reference to it. Also where there is no content: a rollback to this
    release then removes what came later."""
    same, new = f"same_plug_in_{place}", f"new_plug_in_{place}"
    digest = f"(SELECT coalesce({_quoted(name)}, '{NOTHING}') FROM digests)"
    yield f"""
        {same} AS MATERIALIZED (
            SELECT id FROM component_states
            WHERE component = '{name}' AND scope_id = :{scope}_id AND digest = {digest})
    """
    yield f"""
        {new} AS (
            INSERT INTO component_states (component, scope_id, content, digest)
            SELECT '{name}', :{scope}_id, coalesce((SELECT {_quoted(name)} FROM live), 'null'), {digest}
            FROM wanted WHERE NOT EXISTS (SELECT FROM {same})
            RETURNING id)
    """
    yield f"""
        linked_plug_in_{place} AS (
            INSERT INTO release_components (release_id, component, component_state_id)
            SELECT release.id, '{name}', state.id
            FROM release CROSS JOIN (SELECT id FROM {new} UNION ALL SELECT id FROM {same}) AS state)
    """


def _digest_of(members: Mapping[str, str]) -> str:
    return f"release_worker_digest({_object(members)})"


def _object(members: Mapping[str, str]) -> str:
    """SQL: a JSON object with these members, SQL expressions by name. A function has at most a hundred arguments."""
    arguments = [f"'{name}', {value}" for name, value in members.items()]
    parts = (", ".join(arguments[start : start + 50]) for start in range(0, max(len(arguments), 1), 50))
    return f"({' || '.join(f'jsonb_build_object({part})' for part in parts)})"


def _quoted(name: str) -> str:
    return f'"{name}"'
