"""How `dev` starts again what ends by itself: soon, then later and later."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from release_worker.cli.dev import LONGEST_DELAY, Supervised


@dataclass
class Child:
    """A process that ends as often as the test says."""

    name: str = "worker"
    status: int | None = None
    starts: int = 0
    log: Path = Path("worker.log")

    def start(self) -> None:
        self.starts += 1
        self.status = None

    def kill_all(self) -> None:
        pass


def delays_of(supervised: Supervised, child: Child, *, each_runs_for: float, times: int) -> list[float]:
    """The time from each end to the next start, on a clock of the test's."""
    now, delays = 0.0, []
    for _ in range(times):
        now += each_runs_for
        child.status = 1
        ended, starts = now, child.starts
        while child.starts == starts:
            supervised.look(now)
            now += 0.25
        delays.append(now - 0.25 - ended)
    return delays


@pytest.mark.parametrize(
    ("each_runs_for", "expected"),
    [(0.5, [1, 2, 4, 8, 16, 30, 30]), (LONGEST_DELAY + 1, [1, 1, 1, 1, 1, 1, 1])],
    ids=["ends at once", "runs for a while"],
)
def test_what_ends_at_once_is_started_later_each_time(
    each_runs_for: float, expected: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    child: Any = Child()
    supervised = Supervised(child, started_at=0.0)
    assert delays_of(supervised, child, each_runs_for=each_runs_for, times=7) == expected
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "worker ended by itself with status 1; its log is worker.log. It is started again in 1 s."
    assert len(said) == 7


def test_what_runs_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    child: Any = Child()
    supervised = Supervised(child, started_at=0.0)
    for now in range(100):
        supervised.look(now)
    assert (child.starts, capsys.readouterr().out) == (0, "")
