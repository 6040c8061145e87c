"""How long one caller waits: at half load, and for a cold toolset while another is flooded."""

import random
import time
from collections.abc import Sequence
from itertools import cycle, islice

from benchmarks import correctness, world
from benchmarks.measurements import Measurements, percentile
from benchmarks.product import TURN_SECONDS, Product
from benchmarks.scale import Scale
from benchmarks.throughput import CHANGED

HALF_LOAD = "latency at half load"
IDLE = "latency of a cold toolset, idle"
FLOODED = "latency of a cold toolset, flood on a hot one"
PAUSE = 0.02  # seconds between requests where nothing else is going on


def measure_latency(product: Product, scale: Scale, measured: Measurements) -> None:
    """From asking to the result, in rounds; p50, p95 and p99 are of each round's requests."""
    per_second = (measured.median(CHANGED) or 1.0) / 2
    for number in range(scale.rounds):
        draw = random.Random(number)
        _note(measured, HALF_LOAD, _at_load(product, scale.latency_requests, per_second, draw, measured))
        _note(measured, IDLE, _cold_while_idle(product, scale.cold_requests, measured))
        _note(measured, FLOODED, _cold_while_flooded(product, scale, measured))


def _note(measured: Measurements, name: str, latencies: Sequence[float]) -> None:
    for percent in (50, 95, 99) if name == HALF_LOAD else (50, 95):
        measured.add(f"{name}, p{percent}", "ms", 1000 * percentile(latencies, percent))


def _at_load(
    product: Product, requests: int, per_second: float, draw: random.Random, measured: Measurements
) -> list[float]:
    """Requests for different, changed toolsets arrive at random, however long the ones before take. A latency counts
    from the moment at which its request was due, so that a caller who is held up counts too."""
    product.edit_all()
    before = correctness.number_of_releases(product.site.engine)
    due: dict[str, float] = {}
    moment = time.monotonic()
    for number in draw.sample(range(1, product.toolsets + 1), min(requests, product.toolsets)):
        moment += draw.expovariate(per_second)
        time.sleep(max(0.0, moment - time.monotonic()))
        due[product.release(number)] = moment
    measured.fail(HALF_LOAD, product.settle(list(due), before))
    return _latencies(product, due)


def _cold_while_idle(product: Product, requests: int, measured: Measurements) -> list[float]:
    before = correctness.number_of_releases(product.site.engine)
    asked: dict[str, float] = {}
    for number in islice(cycle(world.cold(product.toolsets)), requests):
        time.sleep(PAUSE)
        _ask_and_wait(product, number, asked)
    measured.fail(IDLE, product.settle(list(asked), before))
    return _latencies(product, asked)


def _cold_while_flooded(product: Product, scale: Scale, measured: Measurements) -> list[float]:
    """As many requests as `flood` wait for the hot toolset before each cold request."""
    before = correctness.number_of_releases(product.site.engine)
    flood: list[str] = []
    asked: dict[str, float] = {}
    for number in islice(cycle(world.cold(product.toolsets)), scale.cold_requests):
        missing = scale.flood - product.results.unfinished(flood)
        flood += [product.release(world.hot(product.toolsets)) for _ in range(missing)]
        _ask_and_wait(product, number, asked)
        if not product.results.unfinished(flood):
            measured.fail(FLOODED, ["the flood was over before a cold request was"])
    measured.fail(FLOODED, product.settle([*flood, *asked], before))
    return _latencies(product, asked)


def _ask_and_wait(product: Product, number: int, asked: dict[str, float]) -> None:
    began = time.monotonic()
    request_id = product.release(number)
    asked[request_id] = began
    product.results.wait([request_id], within=TURN_SECONDS)


def _latencies(product: Product, began: dict[str, float]) -> list[float]:
    """Of those that ended; the others have failed already."""
    ended = {request_id: product.results.ended_at(request_id) for request_id in began}
    return [end - began[request_id] for request_id, end in ended.items() if end is not None]
