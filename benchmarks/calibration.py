"""How long the work of a task takes, measured for the simulation: one round of it."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from redis import Redis
from sqlalchemy import text

from benchmarks import world
from benchmarks.crew import Asked, Crew, Drain
from benchmarks.latency import PAUSE
from benchmarks.measurements import Measurements
from benchmarks.product import TURN_SECONDS
from benchmarks.results import CHANNEL, ResultListener
from benchmarks.simulation.times import Times
from benchmarks.simulation.trace import Kind
from release_worker.broker.address import Broker
from release_worker.broker.producer import close_app, make_app
from release_worker.broker.publishing import message_again, publish
from release_worker.store.engine import single_statement
from release_worker.store.requests import get_request


@dataclass(frozen=True, slots=True)
class Sample:
    """How much is measured: a backlog over so many toolsets, and so many requests while nothing else goes on."""

    toolsets: int
    idle: int


def calibrate(crews: dict[int, Crew], sample: Sample, measured: Measurements) -> Times:
    """Service times of a lone process, and how fast each of several goes beside the others. A drained backlog of one
    process has a result every service time."""
    lone = crews[1]
    prepare(lone, sample.toolsets)
    numbers = range(1, sample.toolsets + 1)
    rollback = _service_times(lone.drain(_all(numbers, "rollback")), "rollback", measured)
    release_drain = lone.drain(_all(numbers, "release"))
    release = _service_times(release_drain, "release", measured)
    around = statistics.mean(release) - statistics.mean(_seconds(lone, "finished_at - started_at", release_drain.ids))
    look = statistics.median(_gaps(_again(lone, release_drain.ids)))
    lead = _lead(lone, sample.idle, measured)
    speeds = _speeds(crews, numbers, measured)
    for name, value in (("release", statistics.mean(release)), ("rollback", statistics.mean(rollback))):
        measured.add(f"service time: {name}, mean", "ms", 1000 * value)
    measured.add("service time: a request that is done already", "ms", 1000 * look)
    measured.add("from a request to its work, while nothing else goes on", "ms", 1000 * lead)
    for place, speed in enumerate(speeds, start=1):
        measured.add(f"speed of each of {place} tasks beside the others", "times", speed)
    measured.add("of a release's service time, what surrounds its work", "ms", 1000 * around)
    return Times(release, rollback, look, lead, around, speeds)


def prepare(crew: Crew, toolsets: int) -> None:
    """Give each toolset two newest releases of different content, between which rollbacks can go to and fro."""
    crew.edit(toolsets)
    ids = [crew.ask((number, "release")) for number in range(1, toolsets + 1)]
    crew.product.results.wait(ids, within=TURN_SECONDS)


def _all(numbers: Sequence[int], kind: Kind) -> list[Asked]:
    return [(number, kind) for number in numbers]


def _service_times(drain: Drain, name: str, measured: Measurements) -> list[float]:
    measured.fail(f"service time: {name}", drain.failures)
    return _gaps(drain.ends)


def _gaps(ends: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(ends)]


def _again(crew: Crew, ids: Sequence[str]) -> list[float]:
    """Publish requests again that are done: when each message was worked, in order. Celery announces no result that it
    has stored already, so that these are removed before."""
    product = crew.product
    with Redis.from_url(product.site.redis_url) as redis:
        redis.delete(*(f"{CHANNEL}{one}" for one in ids))
    app = make_app(Broker(product.site.broker_url), None)
    with single_statement(product.site.engine) as connection:
        records = [get_request(connection, one) for one in ids]
    with ResultListener(product.site.redis_url) as results, crew.standing():
        for record in records:
            assert record is not None, "it was asked for"
            publish(app, message_again(record), kept=True)
        crew.let_go()
        results.wait(ids, within=TURN_SECONDS)
        ends = [end for one in ids if (end := results.ended_at(one)) is not None]
    close_app(app)
    return sorted(ends)


def _lead(crew: Crew, requests: int, measured: Measurements) -> float:
    ids = []
    for number in world.cold(crew.product.toolsets)[:requests]:
        time.sleep(PAUSE)
        ids.append(crew.ask((number, "release")))
        crew.product.results.wait(ids[-1:], within=TURN_SECONDS)
    measured.fail("idle requests", crew.product.results.failures(ids))
    return statistics.median(_seconds(crew, "started_at - created_at", ids))


def _seconds(crew: Crew, interval: str, ids: Sequence[str]) -> list[float]:
    """An interval in SQL, of each of these requests."""
    query = f"SELECT extract(epoch FROM {interval}) FROM release_requests WHERE id = ANY (CAST(:ids AS text[]))"
    with crew.product.site.engine.connect() as connection:
        return [float(value) for value in connection.execute(text(query), {"ids": list(ids)}).scalars()]


def _speeds(crews: dict[int, Crew], numbers: Sequence[int], measured: Measurements) -> list[float]:
    """From a backlog that each crew works off; in between, throughput is taken to grow evenly."""
    kinds: tuple[Kind, ...] = ("release", "rollback", "release", "release")
    wanted = [asked for kind in kinds for asked in _all(numbers, kind)]
    rates: dict[int, float] = {}
    for children, crew in crews.items():
        if children > 1:
            prepare(crew, len(numbers))
        drain = crew.drain(wanted)
        measured.fail(f"backlog, {children} children", drain.failures)
        measured.add(f"backlog, {children} children", "1/s", drain.rate)
        rates[children] = drain.rate
    speeds = []
    for below, above in pairwise(sorted(rates)):
        for children in range(below, above):
            part = (children - below) / (above - below)
            speeds.append((rates[below] + part * (rates[above] - rates[below])) / (children * rates[1]))
    return [*speeds, rates[max(rates)] / (max(rates) * rates[1])]
