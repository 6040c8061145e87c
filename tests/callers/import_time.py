"""What the import of the client takes beside that of Celery, in the environment of a caller: `python -m
tests.callers.import_time [NAME]`, after `make callers`. docs/performance.md has the figures."""

import subprocess
import sys
from collections.abc import Iterator
from statistics import median
from time import perf_counter

from tests.callers.conftest import CALLERS

ROUNDS = 41
PYTHON = "pass"
CELERY = "from celery import Celery"
CLIENT = "from release_worker import ReleaseClient"
PROGRAMS = {
    "Python alone": PYTHON,
    "Celery": CELERY,
    "the client": CLIENT,
    "Celery and its Redis transport": f"{CELERY}; import kombu.transport.redis",
    "the client, and one made": f"{CLIENT}; ReleaseClient(broker_url='redis://broker.test')",
}


def main() -> None:
    """Run the programs in turn, so that all meet the same load, and compare the medians."""
    name = sys.argv[1] if len(sys.argv) > 1 else "newest"
    python = str(CALLERS / name / "bin" / "python")
    taken = {what: median(times) for what, times in _timed(python).items()}
    for what, seconds in taken.items():
        print(f"{what:32}{seconds * 1000:6.0f} ms")
    alone = taken["Python alone"]
    ratio = (taken["the client"] - alone) / (taken["Celery"] - alone)
    print(f"the client / Celery, without Python itself: {ratio:.2f}")


def _timed(python: str) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {what: [] for what in PROGRAMS}
    for what in _in_turn():
        began = perf_counter()
        subprocess.run([python, "-c", PROGRAMS[what]], check=True)
        times[what].append(perf_counter() - began)
    return {what: measured[1:] for what, measured in times.items()}  # the first reads from the disk


def _in_turn() -> Iterator[str]:
    for _ in range(ROUNDS):
        yield from PROGRAMS


if __name__ == "__main__":
    main()
