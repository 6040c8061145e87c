"""What is told of the steps of a long operation."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from release_worker.domain.timings import STEPS, Timings
from release_worker.worker.progress import STATES, Progress


def test_each_step_is_told_once_and_only_while_it_is_taken() -> None:
    told: list[tuple[str, str]] = []
    timings = Timings()
    ask = Progress("request-1", timings, lambda request_id, state: told.append((request_id, state)))
    ask()
    with timings.step("capture"):
        ask()
        ask()
    ask()
    with timings.step("restore"):
        ask()
    assert told == [("request-1", "capturing"), ("request-1", "restoring")]


def test_every_step_has_a_state() -> None:
    assert set(STATES) == set(STEPS)


def test_what_is_around_each_step_is_left_with_it() -> None:
    seen: list[str] = []

    @contextmanager
    def around(step: str) -> Iterator[None]:
        seen.append(f"{step} begins")
        try:
            yield
        finally:
            seen.append(f"{step} ends")

    timings = Timings()
    timings.around = around
    with pytest.raises(ZeroDivisionError), timings.step("plan"):
        seen.append(str(1 / 0))
    assert seen == ["plan begins", "plan ends"]
    assert timings.step_now is None
    assert set(timings.so_far()) == {"plan", "attempt"}
