"""Release records as a test reads them, and the two ways to write them that the product does not have: tampering, and
the rows of older software."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, Row, text

from tests.support.exact_json import digest, exact
from tests.support.live_state import LiveState
from tests.support.world import Toolset

RECORDS = (
    "toolset_versions",
    "source_states",
    "variation_versions",
    "toolset_releases",
    "component_states",
    "release_components",
    "release_marks",
)


def releases_of(engine: Engine, toolset: Toolset) -> list[Row[Any]]:
    """The rows of `toolset_releases`, by number."""
    query = "SELECT * FROM toolset_releases WHERE toolset_id = :id ORDER BY release_number"
    return _rows(engine, query, id=toolset.id)


def release_of(engine: Engine, toolset: Toolset, number: int) -> Row[Any]:
    return next(row for row in releases_of(engine, toolset) if row.release_number == number)


def rollbacks_of(engine: Engine, toolset: Toolset) -> list[Row[Any]]:
    """The rows of `toolset_rollbacks`, oldest first."""
    return _rows(
        engine, "SELECT * FROM toolset_rollbacks WHERE toolset_id = :id ORDER BY created_at, id", id=toolset.id
    )


def marks_of(engine: Engine, toolset: Toolset) -> list[Row[Any]]:
    """The rows of `release_marks` with the numbers of their releases, oldest first."""
    query = """
        SELECT said.*, release_number FROM release_marks AS said JOIN toolset_releases r ON r.id = said.release_id
        WHERE r.toolset_id = :id ORDER BY said.created_at, said.id
    """
    return _rows(engine, query, id=toolset.id)


def current_number(engine: Engine, toolset: Toolset) -> int | None:
    """The number of the release that the toolset says is current."""
    query = """
        SELECT r.release_number
        FROM toolsets t JOIN toolset_releases r ON r.id = t.current_release_id WHERE t.id = :id
    """
    found = _rows(engine, query, id=toolset.id)
    return found[0].release_number if found else None


def number_of_rows(engine: Engine, table: str) -> int:
    return int(_rows(engine, f"SELECT count(*) FROM {table}")[0][0])


# What ends leaves a row there, whatever it was.
MEASUREMENTS = frozenset({"release_measurements", "release_totals"})


def whole_database(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table but the measurements, with the transaction that wrote it: equal only if nothing was
    written in between."""
    tables = _rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) ORDER BY 1")
    return {
        table: [tuple(row) for row in _rows(engine, f"SELECT xmin::text, t::text FROM {table} AS t ORDER BY 1, 2")]
        for (table,) in tables
        if table not in MEASUREMENTS
    }


def all_but_requests(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """The same without where the end of a request is written down."""
    ends = ("release_requests", "release_events")
    return {table: rows for table, rows in whole_database(engine).items() if table not in ends}


def assert_numbers_and_chain_complete(engine: Engine, toolset: Toolset) -> None:
    """Releases and versions are numbered 1, 2, 3, …; the predecessors of a version are all those before it."""
    releases = releases_of(engine, toolset)
    assert [row.release_number for row in releases] == list(range(1, len(releases) + 1))
    number_by_id = {row.id: row.release_number for row in releases}
    for row in releases:
        assert row.predecessor_id is None or number_by_id[row.predecessor_id] < row.release_number
    assert [row.release_number for row in releases if row.predecessor_id is None] == [1] * bool(releases)

    versions = _rows(engine, "SELECT * FROM toolset_versions WHERE toolset_id = :id ORDER BY version", id=toolset.id)
    assert [row.version for row in versions] == list(range(1, len(versions) + 1))
    assert [row.predecessor_id for row in versions] == [None, *(row.id for row in versions)][: len(versions)]


def captured_states(engine: Engine, toolset: Toolset) -> dict[int, LiveState]:
    """What each stored release holds, as `live_state` shows it. Without a source state, two components are missing."""
    query = """
        SELECT r.release_number, r.source_state_id, v.*, s.deployment_snapshot, s.system_snapshot,
               coalesce(g.config, '{}') AS global_variations, coalesce(t.config, '{}') AS toolset_variations
        FROM toolset_releases r
        JOIN toolset_versions v ON v.id = r.toolset_version_id
        LEFT JOIN source_states s ON s.id = r.source_state_id
        LEFT JOIN variation_versions g ON g.id = r.global_variations_version_id
        LEFT JOIN variation_versions t ON t.id = r.toolset_variations_version_id
        WHERE r.toolset_id = :id
    """
    return {row.release_number: _held(row) for row in _rows(engine, query, id=toolset.id)}


def captured_state(engine: Engine, toolset: Toolset, number: int) -> LiveState:
    """What one of them holds."""
    return captured_states(engine, toolset)[number]


def _held(row: Row[Any]) -> LiveState:
    state: LiveState = {
        "tools": _placed(row.tool_urns, row.tool_positions),
        "resources": _placed(row.resource_urns, row.resource_positions),
        "settings": {"name": row.name, "description": row.description, "settings": exact(row.settings)},
        "global_variations": {urn: exact(config) for urn, config in row.global_variations.items()},
        "toolset_variations": {urn: exact(config) for urn, config in row.toolset_variations.items()},
    }
    if row.source_state_id is not None:
        state["deployment"] = _deployment(row.deployment_snapshot)
        state["system"] = _system(row.system_snapshot)
    return state


def recomputed_digests(engine: Engine, toolset: Toolset, number: int) -> dict[str, str | None]:
    """The digests of a release and its parts by the rule in `release_worker.domain.digests`, from the raw rows."""
    release = release_of(engine, toolset, number)
    version = _one(engine, "toolset_versions", release.toolset_version_id)
    parts: dict[str, str | None] = {
        "toolset_version": digest(
            {
                "tools": digest(_membership(version.tool_urns, version.tool_positions)),
                "resources": digest(_membership(version.resource_urns, version.resource_positions)),
                "settings": digest(
                    {"name": version.name, "description": version.description, "settings": version.settings}
                ),
            }
        ),
        "source_state": None,
        "global_variations": None,
        "toolset_variations": None,
    }
    if release.source_state_id is not None:
        source = _one(engine, "source_states", release.source_state_id)
        parts["source_state"] = digest(
            {"deployment": digest(source.deployment_snapshot), "system": digest(source.system_snapshot)}
        )
    for scope in ("global_variations", "toolset_variations"):
        version_id = getattr(release, f"{scope}_version_id")
        if version_id is not None:
            parts[scope] = digest(_one(engine, "variation_versions", version_id).config)
    return {**parts, "release": digest(parts)}


def stored_digests(engine: Engine, toolset: Toolset, number: int) -> dict[str, str | None]:
    """The digests of a release and its parts as they are stored."""
    release = release_of(engine, toolset, number)
    rows = {
        "toolset_version": ("toolset_versions", release.toolset_version_id),
        "source_state": ("source_states", release.source_state_id),
        "global_variations": ("variation_versions", release.global_variations_version_id),
        "toolset_variations": ("variation_versions", release.toolset_variations_version_id),
        "release": ("toolset_releases", release.id),
    }
    return {part: row_id and _one(engine, table, row_id).digest for part, (table, row_id) in rows.items()}


@contextmanager
def tampering(engine: Engine) -> Iterator[Connection]:
    """A transaction in which no trigger and no foreign key holds, as for someone who owns the database."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        yield connection


def insert_older_release(
    engine: Engine, toolset: Toolset, number: int, *, release_digest: str = "of another form"
) -> None:
    """A release as older software made them: no source state, no variations, no positions. Not made current."""
    with tampering(engine) as connection:
        connection.execute(
            text("""
                WITH listed AS (
                    SELECT ARRAY(SELECT tool_urn FROM toolset_tools WHERE toolset_id = :id
                                 ORDER BY position, tool_urn COLLATE "C") AS tools,
                           ARRAY(SELECT resource_urn FROM toolset_resources WHERE toolset_id = :id
                                 ORDER BY position, resource_urn COLLATE "C") AS resources),
                version AS (
                    INSERT INTO toolset_versions (
                        toolset_id, version, tool_urns, resource_urns, name, description, settings, digest)
                    SELECT :id, (SELECT coalesce(max(version), 0) + 1 FROM toolset_versions WHERE toolset_id = :id),
                           tools, resources, name, description, settings, ''
                    FROM toolsets, listed WHERE id = :id
                    RETURNING id)
                INSERT INTO toolset_releases (
                    toolset_id, release_number, toolset_version_id, digest, predecessor_id, released_by)
                SELECT :id, :number, id, :digest, (SELECT current_release_id FROM toolsets WHERE id = :id),
                       'older software'
                FROM version
            """),
            {"id": toolset.id, "number": number, "digest": release_digest},
        )
    computed = recomputed_digests(engine, toolset, number)
    with tampering(engine) as connection:
        connection.execute(
            text("UPDATE toolset_versions SET digest = :digest WHERE id = :id"),
            {"digest": computed["toolset_version"], "id": release_of(engine, toolset, number).toolset_version_id},
        )


def insert_plug_in_state(engine: Engine, toolset: Toolset, number: int) -> None:
    """What a plug-in component would have captured with a release, had one been installed."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                WITH state AS (
                    INSERT INTO component_states (component, scope_id, content, digest)
                    VALUES ('flags', :id, '{"dark": true}', 'of the flags') RETURNING id)
                INSERT INTO release_components (release_id, component, component_state_id)
                SELECT r.id, 'flags', state.id
                FROM toolset_releases r, state WHERE toolset_id = :id AND release_number = :number
            """),
            {"id": toolset.id, "number": number},
        )


def insert_mark(engine: Engine, toolset: Toolset, number: int, mark: str = "good") -> None:
    """What somebody has said of a release."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO release_marks (release_id, mark, marked_by)
                SELECT id, :mark, 'tester' FROM toolset_releases WHERE toolset_id = :id AND release_number = :number
            """),
            {"id": toolset.id, "number": number, "mark": mark},
        )


def _rows(engine: Engine, query: str, **values: Any) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(text(query), values))


def _one(engine: Engine, table: str, row_id: UUID) -> Row[Any]:
    return _rows(engine, f"SELECT * FROM {table} WHERE id = :id", id=row_id)[0]


def _membership(urns: list[str], positions: list[int] | None) -> dict[str, Any]:
    return {"urns": urns, "positions": list(range(len(urns))) if positions is None else positions}


def _placed(urns: list[str], positions: list[int] | None) -> dict[str, int]:
    return dict(zip(urns, _membership(urns, positions)["positions"], strict=True))


def _deployment(snapshot: Any) -> LiveState | None:
    if snapshot is None:
        return None
    fields = {"assets": "config", "tools": "definition", "resources": "definition"}
    return {
        "status": snapshot["status"],
        **{
            section: {key: {**item, field: exact(item[field])} for key, item in snapshot[section].items()}
            for section, field in fields.items()
        },
    }


def _system(snapshot: Any) -> LiveState:
    return {
        "config": {key: exact(value) for key, value in snapshot["config"].items()},
        "prompts": {
            name: {**item, "arguments": exact(item["arguments"]) if "arguments" in item else None}
            for name, item in snapshot["prompts"].items()
        },
    }
