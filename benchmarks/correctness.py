"""What must be true of a database after every turn. Each check returns what is not, in words; nothing where all is."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Row, text

from release_worker.domain import canonical_json
from release_worker.domain.digests import release_digest
from release_worker.domain.requests.check_drift import CheckDrift
from release_worker.errors import IntegrityMismatch
from release_worker.queries.check_drift import check_drift
from release_worker.queries.timeline import timeline
from release_worker.state.registry import built_in_components
from release_worker.state.work import Work
from release_worker.store.captured import check_integrity
from release_worker.store.engine import snapshot_transaction
from release_worker.store.live_snapshot import live_snapshot_transaction
from release_worker.store.owners.naming import find_toolset

_PARTS = """
    SELECT r.release_number, r.digest, v.digest AS version_digest, v.tool_urns, v.tool_positions, v.resource_urns,
           v.resource_positions, v.name, v.description, v.settings, s.digest AS source_digest, s.deployment_snapshot,
           s.system_snapshot, g.digest AS global_digest, g.config AS global_config, t.digest AS own_digest,
           t.config AS own_config
    FROM toolset_releases r
    JOIN toolset_versions v ON v.id = r.toolset_version_id
    LEFT JOIN source_states s ON s.id = r.source_state_id
    LEFT JOIN variation_versions g ON g.id = r.global_variations_version_id
    LEFT JOIN variation_versions t ON t.id = r.toolset_variations_version_id
"""


def number_of_releases(engine: Engine) -> int:
    """How many there are in all."""
    return int(_rows(engine, "SELECT count(*) FROM toolset_releases")[0][0])


def numbering(engine: Engine, expected_releases: int) -> list[str]:
    """Numbers and versions are 1, 2, 3, … in every toolset, and there are as many releases as were asked for."""
    wrong = [
        f"{table} of toolset {row.slug}: {row.found} rows, numbered {row.lowest} to {row.highest}"
        for table, number in (("toolset_releases", "release_number"), ("toolset_versions", "version"))
        for row in _rows(
            engine,
            f"""
            SELECT slug, count(*) AS found, min({number}) AS lowest, max({number}) AS highest
            FROM {table} JOIN toolsets ON toolsets.id = toolset_id GROUP BY slug
            HAVING min({number}) <> 1 OR max({number}) <> count(*) OR count(DISTINCT {number}) <> count(*)
            """,
        )
    ]
    found = number_of_releases(engine)
    if found != expected_releases:
        wrong.append(f"{found} releases where there should be {expected_releases}")
    return wrong


def ledger(engine: Engine, request_ids: Sequence[str]) -> list[str]:
    """Each of these requests succeeded, once."""
    query = """
        SELECT coalesce(status, 'not in the ledger') AS status, count(*) AS found
        FROM unnest(CAST(:ids AS text[])) AS asked LEFT JOIN release_requests ON id = asked
        WHERE status IS DISTINCT FROM 'succeeded' GROUP BY 1
    """
    return [f"{row.found} requests are {row.status}" for row in _rows(engine, query, ids=list(request_ids))]


def succeeded(engine: Engine, request_ids: Sequence[str]) -> int:
    """How many of these requests succeeded."""
    query = "SELECT count(*) FROM release_requests WHERE id = ANY (CAST(:ids AS text[])) AND status = 'succeeded'"
    return int(_rows(engine, query, ids=list(request_ids))[0][0])


def one_release_a_request(engine: Engine, request_ids: Sequence[str]) -> list[str]:
    """No request made two releases, or none."""
    query = """
        SELECT asked, count(toolset_releases.id) AS found
        FROM unnest(CAST(:ids AS text[])) AS asked LEFT JOIN toolset_releases ON request_id = asked
        GROUP BY asked HAVING count(toolset_releases.id) <> 1
    """
    return [f"request {row.asked} made {row.found} releases" for row in _rows(engine, query, ids=list(request_ids))]


def digests(engine: Engine, newest: int) -> list[str]:
    """The digests of so many newest releases, recomputed here from the rows that they are made of."""
    query = f"{_PARTS} ORDER BY r.created_at DESC LIMIT :newest"
    return [fault for row in _rows(engine, query, newest=newest) for fault in _digest_faults(row)]


def newest_is_whole(engine: Engine, path: str) -> list[str]:
    """The digests of a toolset's newest release, of any size, recomputed inside PostgreSQL."""
    try:
        with snapshot_transaction(engine) as connection:
            subject = find_toolset(connection, path)
            [newest] = timeline(connection, subject, limit=1).releases
            return list(check_integrity(connection, newest.release, ()).doubts)
    except IntegrityMismatch as error:
        return [str(error)]


def live_state_is_current(engine: Engine, paths: Sequence[str]) -> list[str]:
    """Live state of these toolsets equals their current release."""
    wrong = []
    for path in paths:
        with live_snapshot_transaction(engine) as connection:
            toolset_id = find_toolset(connection, path).toolset_id
            drift = check_drift(Work(connection, toolset_id, built_in_components()), CheckDrift(toolset=path))
        if drift.drifted:
            wrong.append(f"{path} has moved away from its current release: {', '.join(drift.changes)}")
    return wrong


def current_numbers(engine: Engine, number: int, toolsets: int) -> list[str]:
    """The current release of each of the first so many toolsets has this number."""
    query = """
        SELECT count(*) FROM toolsets LEFT JOIN toolset_releases r ON r.id = current_release_id
        WHERE slug::int <= :toolsets AND release_number IS DISTINCT FROM :number
    """
    others = _rows(engine, query, toolsets=toolsets, number=number)[0][0]
    return [f"the current release of {others} toolsets is not number {number}"] if others else []


def _digest_faults(row: Row[Any]) -> list[str]:
    version = canonical_json.digest(
        {
            "tools": canonical_json.digest({"urns": row.tool_urns, "positions": row.tool_positions}),
            "resources": canonical_json.digest({"urns": row.resource_urns, "positions": row.resource_positions}),
            "settings": canonical_json.digest(
                {"name": row.name, "description": row.description, "settings": row.settings}
            ),
        }
    )
    source = canonical_json.digest(
        {
            "deployment": canonical_json.digest(row.deployment_snapshot),
            "system": canonical_json.digest(row.system_snapshot),
        }
    )
    shared, own = (config and canonical_json.digest(config) for config in (row.global_config, row.own_config))
    whole = release_digest(
        toolset_version=version, source_state=source, global_variations=shared, toolset_variations=own, plug_ins={}
    )
    pairs = {
        "toolset version": (row.version_digest, version),
        "source state": (row.source_digest, source),
        "global variations": (row.global_digest, shared),
        "toolset variations": (row.own_digest, own),
        "release": (row.digest, whole),
    }
    return [
        f"digest of the {part} of release {row.release_number} is {stored}, recomputed {computed}"
        for part, (stored, computed) in pairs.items()
        if stored != computed
    ]


def _rows(engine: Engine, query: str, **values: Any) -> Sequence[Row[Any]]:
    with engine.connect() as connection:
        return connection.execute(text(query), values).all()
