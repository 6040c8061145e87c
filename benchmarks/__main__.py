"""`python -m benchmarks`: measure, print the tables, and exit with 1 if anything was not correct."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.callers import measure_callers
from benchmarks.figures import figures_to_reach
from benchmarks.footprint import measure_footprint
from benchmarks.growth import measure_growth
from benchmarks.in_process import in_process_worker
from benchmarks.latency import measure_latency
from benchmarks.measurements import Measurements
from benchmarks.prediction import measure_prediction
from benchmarks.product import running_product
from benchmarks.questions import EXAMPLE, answer_questions
from benchmarks.report import show, write_json
from benchmarks.scale import FULL, QUICK, Scale
from benchmarks.scaling import measure_scaling
from benchmarks.stage import Stage, stage
from benchmarks.throughput import measure_throughput

PARTS = ("limit", "peers", "end_to_end", "growth", "callers", "scaling", "simulation", "questions")


def main(arguments: Sequence[str] | None = None) -> int:
    """Missed figures are no failure; wrong numbers, digests or counts are."""
    parser = _options()
    options = parser.parse_args(arguments)
    if "peers" in options.only and not all(find_spec(name) for name in ("dramatiq", "procrastinate")):
        parser.error("the peers are not installed here: run `make bench`, or leave them out with --only")
    scale = QUICK if options.quick else FULL
    if options.rounds:
        scale = replace(scale, rounds=options.rounds)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and workers are stopped in order
    began = time.monotonic()
    measured = Measurements()
    with stage(scale.toolsets) as made:
        _measure(made, scale, frozenset(options.only), measured)
    figures = figures_to_reach(measured, scale)
    show(measured, figures)
    seconds = time.monotonic() - began
    print(f"{seconds:.0f} s")
    if options.json:
        write_json(options.json, measured, figures, seconds)
    return 1 if measured.failures else 0


def _measure(made: Stage, scale: Scale, parts: frozenset[str], measured: Measurements) -> None:
    if parts & {"limit", "peers", "end_to_end"}:
        _say("limit, peers and end to end, by turns")
        with running_product(made) as product:
            measure_throughput(made, scale, parts, product, measured)
            if "end_to_end" in parts:
                _say("latencies")
                measure_latency(product, scale, measured)
    if "growth" in parts:
        _say("growth")
        measure_growth(in_process_worker(made), scale, measured)
        _say("footprint")
        measure_footprint(made, scale, measured)
    if "callers" in parts:
        _say("callers")
        measure_callers(made, scale, measured)
    if "scaling" in parts:
        _say("scaling")
        measure_scaling(made, scale, measured)
    times = EXAMPLE
    if "simulation" in parts:
        _say("what the simulation predicts")
        times = measure_prediction(made, scale, measured)
    if "questions" in parts:
        _say("what operators ask")
        answer_questions(times, scale, measured)


def _say(what: str) -> None:
    print(f"measuring {what} …", file=sys.stderr, flush=True)


def _parts(given: str) -> list[str]:
    parts = given.split(",")
    if unknown := set(parts) - set(PARTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return parts


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute's smoke; its figures mean nothing")
    parser.add_argument("--only", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, help=f"{FULL.rounds}, with --quick {QUICK.rounds}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
