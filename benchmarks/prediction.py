"""The simulation held against a real worker: the same requests at the same moments, waits predicted and measured."""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from sqlalchemy import text

from benchmarks import correctness
from benchmarks.calibration import Sample, calibrate, prepare
from benchmarks.crew import Crew, running_crews
from benchmarks.measurements import Measurements
from benchmarks.product import TURN_SECONDS
from benchmarks.scale import Scale
from benchmarks.simulation.deployment import simulate, slots
from benchmarks.simulation.history import quantiles
from benchmarks.simulation.times import Times
from benchmarks.simulation.trace import Asked, Kind, Load, burst, together
from benchmarks.stage import Stage

SIZES = (1, 2, 4)
HELD_AGAINST = (2, 4)  # children of the real worker
_SEEDS = 5  # simulations of one trace, which draw other service times
_SHARE = 0.5  # of what the worker can do, while nothing special happens
_REAL = """
    SELECT id, extract(epoch FROM created_at - min(created_at) OVER ()) AS asked,
           extract(epoch FROM started_at - created_at) AS waited,
           extract(epoch FROM finished_at - started_at) AS worked
    FROM release_requests WHERE id = ANY (CAST(:ids AS text[])) ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class Real:
    """What a real worker was asked, as the ledger has it, and how long each request waited for its work to begin."""

    trace: Sequence[Asked]
    waits: Sequence[float]

    def of(self, kind: Kind) -> list[float]:
        return [wait for asked, wait in zip(self.trace, self.waits, strict=True) if asked.kind == kind]


def measure_prediction(stage: Stage, scale: Scale, measured: Measurements) -> Times:
    """Rounds, in each of which a real worker works, and that is predicted from service times measured right before and
    right after. Returns all service times of all rounds."""
    sample = Sample(scale.sampled, scale.cold_requests)
    with running_crews(stage, SIZES) as crews:
        found = [calibrate(crews, sample, measured)]
        for number in range(scale.rounds):
            for children in HELD_AGAINST:
                per_second = _SHARE * measured.latest(f"backlog, {children} children")
                trace = _trace(scale, per_second, seed=number)
                real = _replay(crews[children], trace, scale.real_toolsets, measured)
                found.append(calibrate(crews, sample, measured))
                _compare(real, _together(found[-2:]), children, measured)
    return _together(found)


def _trace(scale: Scale, per_second: float, *, seed: int) -> list[Asked]:
    """Random requests; in the middle many for one toolset at once, and later one for each of many."""
    load = Load(scale.real_toolsets, per_second, scale.real_seconds)
    others = random.Random(seed).sample(range(2, scale.real_toolsets + 1), scale.real_burst)
    return together(
        load.requests(seed),
        burst(scale.real_seconds * 0.3, [1] * scale.real_burst),
        burst(scale.real_seconds * 0.6, others),
    )


def _replay(crew: Crew, trace: Sequence[Asked], toolsets: int, measured: Measurements) -> Real:
    """Ask at these moments, as well as one caller can. What counts is when a request came into the ledger."""
    prepare(crew, toolsets)
    before = correctness.number_of_releases(crew.product.site.engine)
    began = time.monotonic()
    ids = []
    for asked in trace:
        time.sleep(max(0.0, began + asked.at - time.monotonic()))
        ids.append(crew.ask((asked.toolset, asked.kind)))
    crew.product.results.wait(ids, within=TURN_SECONDS)
    wanted = [(asked.toolset, asked.kind) for asked in trace]
    measured.fail(f"replay, {crew.children} children", crew.faults(ids, wanted, before))
    by_id = dict(zip(ids, trace, strict=True))
    with crew.product.site.engine.connect() as connection:
        rows = connection.execute(text(_REAL), {"ids": ids}).all()
    came = [Asked(float(row.asked), by_id[row.id].toolset, by_id[row.id].kind, float(row.worked)) for row in rows]
    return Real(came, [float(row.waited) for row in rows])


def _compare(real: Real, times: Times, children: int, measured: Measurements) -> None:
    """From service times that were measured before and after; and, to judge the queues alone, from those of the run
    itself."""
    ahead = [
        simulate([replace(asked, work=None) for asked in real.trace], times, slots(children), seed=seed)
        for seed in range(_SEEDS)
    ]
    afterwards = [simulate(real.trace, times.of_crew(children), slots(children))]
    for word, histories in (("ahead", ahead), ("afterwards", afterwards)):
        for history in histories:
            measured.fail("simulation", history.faults())
        for kind in get_args(Kind):
            predicted = quantiles([wait for history in histories for wait in history.waits(kind)])
            for name, found, expected in zip(("p50", "p95", "p99"), quantiles(real.of(kind)), predicted, strict=True):
                about = f"{children} children, {kind}s wait, {name}"
                if word == "ahead":
                    measured.add(f"{about}: measured", "ms", 1000 * found)
                    measured.add(f"{about}: predicted", "ms", 1000 * expected)
                measured.add(f"{about}: predicted {word} / measured", "times", expected / found)


def _together(found: Sequence[Times]) -> Times:
    """All service times, and the medians of the rest."""
    return Times(
        release=[seconds for times in found for seconds in times.release],
        rollback=[seconds for times in found for seconds in times.rollback],
        look=statistics.median(times.look for times in found),
        lead=statistics.median(times.lead for times in found),
        around=statistics.median(times.around for times in found),
        speeds=[statistics.median(speeds) for speeds in zip(*(times.speeds for times in found), strict=True)],
    )
