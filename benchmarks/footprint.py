"""What a release takes: bytes in the database, and memory of the worker's processes."""

from sqlalchemy import text

from benchmarks import correctness
from benchmarks.growth_world import GrownToolset, build_toolset, edit, tidy
from benchmarks.measurements import Measurements
from benchmarks.processes import resident_bytes
from benchmarks.product import ACTOR, TURN_SECONDS, Product, running_product
from benchmarks.scale import Scale
from benchmarks.stage import Site, Stage

RECORDS = "stored per unchanged release: release records"
WITH_REQUEST = "stored per unchanged release: with its request"
IDLE = "worker's child: memory before its first task"
IDLE_USED = "worker's child: memory after small releases"
PEAK = "worker's child: peak memory, {:,} tools"

_RECORDS = (
    "toolset_releases",
    "toolset_versions",
    "source_states",
    "variation_versions",
    "component_states",
    "release_components",
)
_REQUESTS = "release_requests"
_MEGABYTE = 1_000_000


def measure_footprint(stage: Stage, scale: Scale, measured: Measurements) -> None:
    """With a worker of its own, whose memory no other turn has touched."""
    with running_product(stage, "footprint") as product:
        product.wait_until_ready()
        measured.add(IDLE, "MB", _memory(product, peak=False))
        for _ in range(scale.rounds):
            _unchanged_turn(product, scale, measured)
        measured.add(IDLE_USED, "MB", _memory(product, peak=False))
        _large_turn(product, max(scale.tools), measured)


def _unchanged_turn(product: Product, scale: Scale, measured: Measurements) -> None:
    """Many releases of a toolset that stays as it is. The room of rows that the turn before left dead is used again."""
    tidy(product.site.engine)
    before = _bytes(product.site, *_RECORDS), _bytes(product.site, _REQUESTS)
    turn = product.hot_releases(scale.unchanged_requests)
    measured.fail(RECORDS, turn.failures)
    records = (_bytes(product.site, *_RECORDS) - before[0]) / scale.unchanged_requests
    requests = (_bytes(product.site, _REQUESTS) - before[1]) / scale.unchanged_requests
    measured.add(RECORDS, "bytes", records)
    measured.add(WITH_REQUEST, "bytes", records + requests)


def _large_turn(product: Product, tools: int, measured: Measurements) -> None:
    """Release and roll back a toolset of so many tools, all of them changed."""
    engine = product.site.engine
    name = PEAK.format(tools)
    before = correctness.number_of_releases(engine)
    with engine.begin() as connection:
        toolset = build_toolset(connection, "provided", tools)
    tidy(engine)
    ids = [_release(product, toolset)]
    with engine.begin() as connection:
        edit(connection, toolset, tools)
    ids.append(_release(product, toolset))
    rollback = product.client.rollback(toolset.path, 1, actor=ACTOR).id
    product.results.wait([rollback], within=TURN_SECONDS)
    measured.add(name, "MB", _memory(product, peak=True))
    faults = [
        *product.results.failures([*ids, rollback]),
        *correctness.ledger(engine, [*ids, rollback]),
        *correctness.numbering(engine, before + len(ids)),
        *correctness.newest_is_whole(engine, toolset.path),
    ]
    measured.fail(name, faults)


def _release(product: Product, toolset: GrownToolset) -> str:
    request_id = product.client.create_release(toolset.path, actor=ACTOR).id
    product.results.wait([request_id], within=TURN_SECONDS)
    return request_id


def _memory(product: Product, *, peak: bool) -> float:
    """Of the child that has most."""
    return max(resident_bytes(pid, peak=peak) for pid in product.worker.children()) / _MEGABYTE


def _bytes(site: Site, *tables: str) -> int:
    """What these tables take, with their indexes and what is stored beside them."""
    query = text("SELECT sum(pg_total_relation_size(name::regclass)) FROM unnest(CAST(:tables AS text[])) AS name")
    with site.engine.connect() as connection:
        return int(connection.execute(query, {"tables": list(tables)}).scalar_one())
