"""What an operator asks, answered by the simulation for 10,000 toolsets: with the service times of this run, or, if it
measured none, with those of an example, always with the same answers."""

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

from benchmarks.measurements import Measurements
from benchmarks.scale import Scale
from benchmarks.simulation.deployment import Slots, simulate, slots
from benchmarks.simulation.history import History, quantiles
from benchmarks.simulation.times import Times
from benchmarks.simulation.trace import Asked, Kind, Load, burst, together

# Near the quickest that was measured for toolsets of 60 tools on a machine with neighbours.
EXAMPLE = Times(release=(0.012, 0.013, 0.016, 0.02), rollback=(0.03, 0.04, 0.05), look=0.005, lead=0.012, around=0.007)
RATES = (600, 1_800, 3_600, 7_200, 14_400, 28_800)  # requests a minute
BOUNDS = (1.0, 0.1)  # seconds for p95
_MOST_PROCESSES = 64
_MOST_REQUESTS = 15_000  # of a simulation
_ROLLBACKS = 0.1  # of all requests


def answer_questions(times: Times, scale: Scale, measured: Measurements) -> None:
    """Processes are taken to be as fast as a lone one: on computers that have a core for each, and with a database that
    keeps up."""
    apart = replace(times, speeds=[1.0] * _MOST_PROCESSES)
    _how_many_processes(apart, scale, measured)
    _a_hot_toolset(apart, scale, measured)
    _a_bulk(apart, scale, measured)


def _how_many_processes(times: Times, scale: Scale, measured: Measurements) -> None:
    for rate in RATES:
        seconds = min(scale.simulated_seconds, _MOST_REQUESTS / (rate / 60))
        trace = Load(scale.simulated_toolsets, rate / 60, seconds).requests(seed=rate)
        fewest = int(rate / 60 * times.mean(_ROLLBACKS)) + 1  # fewer cannot keep up
        for bound in BOUNDS:
            about = f"{rate:,} a minute, releases' p95 < {bound:g} s"
            for processes in range(fewest, 2 * fewest + 2):
                history = simulate(trace, times, slots(processes))
                if quantiles(history.waits("release"))[1] < bound:
                    measured.add(f"{about}: processes", "", processes)
                    measured.add(f"{about}: in use", "%", 100 * rate / 60 * times.mean(_ROLLBACKS) / processes)
                    _add_waits(about, history, measured)
                    break
            else:  # the most popular toolset alone is more than one process can do
                measured.give_up(f"{about}: processes", "")


def _a_hot_toolset(times: Times, scale: Scale, measured: Measurements) -> None:
    """4 processes at half of what they can do, and a flood of requests for one toolset of little use otherwise."""
    per_second = 0.5 * 4 / times.mean(_ROLLBACKS)
    quiet = Load(scale.simulated_toolsets, per_second, scale.simulated_seconds).requests(seed=1)
    hot = scale.simulated_toolsets
    flood = burst(scale.simulated_seconds / 4, [hot] * scale.simulated_flood)
    for name, trace in (("no flood", quiet), ("flood", together(quiet, flood))):
        history = simulate(trace, times, slots(4))
        measured.fail(name, history.faults())
        _add_waits(f"{name}: others'", history, measured, lambda asked: asked.toolset != hot)
        if trace is not quiet:
            measured.add(
                "flood: its last waits", "s", max(history.waits("release", lambda asked: asked.toolset == hot))
            )


def _a_bulk(times: Times, scale: Scale, measured: Measurements) -> None:
    """A release of every toolset, as `release --organization` asks for it; meanwhile, a rollback and a single release
    of some toolset each second."""
    toolsets = scale.simulated_toolsets
    kinds: tuple[tuple[int, Kind], ...] = ((37, "rollback"), (101, "release"))
    singles = [
        Asked(second + (0.5 if kind == "release" else 0.0), 1 + place * second % toolsets, kind)
        for place, kind in kinds
        for second in range(1, 31)
    ]
    trace = together(burst(0.0, range(1, toolsets + 1), bulk=True), together(singles))
    crews: dict[str, Slots] = {"4": slots(4), "4 + 1 urgent": [*slots(4), *slots(1, ["rollbacks", "maintenance"])]}
    for name, crew in crews.items():
        history = simulate(trace, times, crew)
        about = f"bulk of {toolsets:,}, {name}"
        measured.fail(about, history.faults())
        _add_waits(f"{about}: single", history, measured, lambda asked: not asked.bulk)
        measured.add(f"{about}: until all is done", "s", max(course.finished or 0.0 for course in history.courses))


def _add_waits(
    about: str, history: History, measured: Measurements, among: Callable[[Asked], bool] = lambda _: True
) -> None:
    for kind in get_args(Kind):
        waits = quantiles(history.waits(kind, among))
        for name, value in zip(("p50", "p95", "p99"), waits, strict=True):
            measured.add(f"{about} {kind}s, {name}", "ms", 1000 * value)
