"""Two actions one after the other, or the second in the midst of the first."""

from concurrent.futures import wait
from dataclasses import dataclass
from threading import Event

from tests.interleavings.actions import Action, Answer, Performance
from tests.interleavings.outcome import Outcome, read_outcome
from tests.interleavings.stage import Stage
from tests.interleavings.stops import LONGEST, Stops

GLANCE = 0.005  # seconds between two looks at who waits


@dataclass(frozen=True)
class Played:
    """One run. `stopped_before`: where the first stood; `held_up`: the second did not end before the first went on;
    `deadlocked`: both were seen to wait for each other; `order`: in which they began their last commits."""

    outcome: Outcome
    stopped_before: str = ""
    held_up: bool = False
    deadlocked: bool = False
    order: tuple[str, str] | None = None


@dataclass(frozen=True)
class Serial:
    """The same two actions, one after the other. `moments`: how often the first can be stopped."""

    first_then_second: Outcome
    second_then_first: Outcome
    moments: int


def play_serially(stage: Stage, first: Action, second: Action) -> Serial:
    """Both orders, from the same start; they are asked for in the same order."""
    after_first = read_outcome(stage, play_in_order(stage, first, second))
    moments = len(stage.stops_of("first", first.player).passed)
    after_second = read_outcome(stage, play_in_order(stage, first, second, order=("second", "first")))
    return Serial(after_first, after_second, moments)


def play_in_order(
    stage: Stage, first: Action, second: Action, order: tuple[str, str] = ("first", "second")
) -> dict[str, Answer]:
    """From the start, one after the other; their answers."""
    performances = _prepared(stage, first, second)
    answers = {}
    for role in order:
        action, performance = performances[role]
        stage.stops_of(role, action.player).begin()
        answers[role] = performance(stage.engine_of(role, action.player), _never)
    return answers


def interleave(stage: Stage, first: Action, second: Action, stop: int) -> Played:
    """Stop the first at this moment, and run the second there; if the second has to wait, the first goes on."""
    performances = _prepared(stage, first, second)
    stops = {role: stage.stops_of(role, action.player) for role, (action, _) in performances.items()}
    stops["first"].begin(stop)
    stops["second"].begin()
    try:
        stopped = _Part(stage, "first", *performances["first"])
        _await_stop(stops["first"], stopped)
        midst = _Part(stage, "second", *performances["second"])
        held_up = _is_held_up(stage, midst)
    finally:
        stops["first"].go_on()
    deadlocked = held_up and _meet(stage, stopped, midst)
    answers = {"first": stopped.future.result(LONGEST), "second": midst.future.result(LONGEST)}
    stood_before = f"{stop}: {stops['first'].passed[stop]}"
    return Played(read_outcome(stage, answers), stood_before, held_up, deadlocked, _order(stops))


def _prepared(stage: Stage, first: Action, second: Action) -> dict[str, tuple[Action, Performance]]:
    stage.reset()
    first, second = (each.decided(stage.engine, stage.scene) for each in (first, second))
    return {
        "first": (first, first.prepare(stage.engine, stage.scene)),
        "second": (second, second.prepare(stage.engine, stage.scene)),
    }


class _Part:
    """One of the two, at work in a thread. `stirred`: it has ended, or was put off."""

    def __init__(self, stage: Stage, role: str, action: Action, performance: Performance) -> None:
        self.stirred = Event()
        self.put_off = False
        self.future = stage.threads.submit(performance, stage.engine_of(role, action.player), self._put_off)
        self.future.add_done_callback(lambda _: self.stirred.set())

    def _put_off(self) -> None:
        self.put_off = True
        self.stirred.set()


def _await_stop(stops: Stops, first: _Part) -> None:
    while not stops.reached.wait(0.5):
        if first.future.done():
            raise AssertionError(f"the first ended before it was stopped: {first.future.result()}")


def _is_held_up(stage: Stage, second: _Part) -> bool:
    """Wait until the second has ended, was put off, or waits for a lock; whether it has not ended."""
    while not second.stirred.wait(GLANCE):
        if "second" in stage.waiting() and not second.stirred.is_set():
            return True
    return second.put_off


def _meet(stage: Stage, first: _Part, second: _Part) -> bool:
    """Wait until both have ended; whether they were seen to wait for each other."""
    deadlocked = False
    while wait([first.future, second.future], GLANCE).not_done:
        deadlocked = deadlocked or stage.waiting() >= {"first", "second"}
    return deadlocked


def _order(stops: dict[str, Stops]) -> tuple[str, str] | None:
    first, second = (stops[role].commits[-1:] for role in ("first", "second"))
    if not first or not second:
        return None
    return ("first", "second") if first < second else ("second", "first")


def _never() -> None:
    raise AssertionError("nobody else is there to be waited for")
