"""The judge sees what is wrong: fed with outcomes of neither order, it says so."""

from dataclasses import replace

import pytest

from tests.interleavings.actions import Action
from tests.interleavings.catalogue import OPERATIONS, REWRITE_LIST
from tests.interleavings.judge import Drift, ending, judge, report
from tests.interleavings.outcome import Outcome, difference
from tests.interleavings.playing import Played, Serial

ROLLBACK = next(each for each in OPERATIONS if each.name == "roll one back")
ANOTHER = next(each for each in OPERATIONS if each.name == "roll two back")
SAME_TOOLSET = next(each for each in OPERATIONS if each.name == "release one")
HELD = REWRITE_LIST
UNHELD = replace(REWRITE_LIST, holds=False)

APP_LAST: Outcome = {
    "live/one/tools": {"a": 0},
    "live/two/tools": {"t": 0},
    "releases/one/current": 1,
    "releases/one/5": "before the app",
    "answers/first/status": "succeeded",
    "answers/second/rows": [2, 1],
    "answers/second/error": None,
}
ROLLBACK_LAST: Outcome = {
    **APP_LAST,
    "live/one/tools": {"s": 0},
    "releases/one/5": "after the app",
    "answers/second/rows": [1, 1],
}
SERIAL = Serial(APP_LAST, ROLLBACK_LAST, moments=3)
MIXED: Outcome = {**APP_LAST, "live/one/tools": {"a": 0, "s": 0}, "answers/second/rows": [0, 1]}
ROLLBACK_FIRST, APP_FIRST = ("first", "second"), ("second", "first")
TRUE_DRIFT: Drift = {"one": (frozenset({"tools"}), frozenset({"tools"}))}


def verdict(
    second: Action,
    outcome: Outcome,
    *,
    drift: Drift = TRUE_DRIFT,
    order: tuple[str, str] | None = ROLLBACK_FIRST,
    deadlocked: bool = False,
) -> list[str]:
    return judge(ROLLBACK, second, Played(outcome, order=order, deadlocked=deadlocked), SERIAL, drift)


@pytest.mark.parametrize("outcome", [APP_LAST, ROLLBACK_LAST], ids=["the app last", "the rollback last"])
@pytest.mark.parametrize("second", [HELD, UNHELD, ANOTHER], ids=["held", "unheld", "an operation"])
def test_either_order_is_right(second: Action, outcome: Outcome) -> None:
    assert verdict(second, outcome) == []


@pytest.mark.parametrize("second", [HELD, ANOTHER], ids=["held", "an operation"])
def test_a_mixture_is_wrong(second: Action) -> None:
    complaints = verdict(second, MIXED)
    assert complaints[0] == "it is not first, then second:"
    assert any("live/one/tools/s: 0 instead of null" in line for line in complaints)
    assert any(line.startswith("nor second, then first") for line in complaints)


@pytest.mark.parametrize("path", sorted(APP_LAST))
def test_whatever_differs_is_wrong(path: str) -> None:
    assert verdict(HELD, {**APP_LAST, path: "other"})
    assert verdict(HELD, {name: value for name, value in APP_LAST.items() if name != path})
    assert verdict(HELD, {**APP_LAST, f"{path}/more": 1})


def test_each_half_of_two_orders_is_wrong() -> None:
    assert verdict(ANOTHER, {**ROLLBACK_LAST, "answers/second/rows": APP_LAST["answers/second/rows"]})


def test_requests_of_one_toolset_have_one_order() -> None:
    assert verdict(SAME_TOOLSET, APP_LAST) == []
    assert verdict(SAME_TOOLSET, ROLLBACK_LAST)


@pytest.mark.parametrize("second", [HELD, UNHELD, ANOTHER], ids=["held", "unheld", "an operation"])
def test_waiting_for_each_other_is_wrong_whatever_comes_of_it(second: Action) -> None:
    assert verdict(second, APP_LAST, deadlocked=True) == ["both waited for each other"]


def test_an_app_that_held_nothing_and_committed_last_may_mix_what_it_writes() -> None:
    assert verdict(UNHELD, MIXED) == []


@pytest.mark.parametrize("order", [APP_FIRST, None], ids=["the app first", "no commit"])
def test_what_an_app_committed_before_a_rollback_is_not_lost(order: tuple[str, str] | None) -> None:
    assert verdict(UNHELD, MIXED, order=order)[0] == "the second committed before the first"


@pytest.mark.parametrize("path", sorted(APP_LAST.keys() - {"live/one/tools", "answers/second/rows"}))
def test_an_app_that_held_nothing_changes_only_what_it_writes(path: str) -> None:
    complaints = verdict(UNHELD, {**MIXED, path: "other"})
    assert len(complaints) == 1
    assert complaints[0].startswith(path)


def test_an_app_never_ends_in_an_error_of_ours() -> None:
    died = {"answers/second/rows": None, "answers/second/error": "40P01 DeadlockDetected"}
    for second in (HELD, UNHELD):
        assert any("40P01" in line for line in verdict(second, {**MIXED, **died}))


@pytest.mark.parametrize("told", [frozenset(), frozenset({"settings"}), frozenset({"settings", "tools"})], ids=len)
def test_a_mixture_that_drift_does_not_tell_is_wrong(told: frozenset[str]) -> None:
    drift = {"one": (frozenset({"tools"}), told)}
    assert verdict(UNHELD, MIXED, drift=drift)[0].startswith("one has moved away in tools, and drift says")


def test_a_difference_is_told_as_deep_as_it_goes() -> None:
    assert difference({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "c": 3}, "e": None}) == [
        "a/c: 2 instead of 3",
        "d: [1] instead of null",
    ]


def test_a_report_names_the_pair_its_orders_and_the_stops() -> None:
    died = {"type": "StaleState", "message": "no"}
    serial = replace(SERIAL, second_then_first={**ROLLBACK_LAST, "answers/first/error": died})
    findings = {f"{stop}: SELECT": ["wrong"] for stop in range(5)}
    assert report(ROLLBACK, HELD, serial, findings).splitlines() == [
        "roll one back + rewrite the list",
        "  first, then second: first done; second done",
        "  second, then first: first ended in StaleState; second done",
        "  stopped before 0: SELECT",
        "  stopped before 1: SELECT",
        "  stopped before 2: SELECT",
        "  and before 2 more, last 4: SELECT",
        "      wrong",
    ]
    assert ending({"answers/first/error": "40P01 DeadlockDetected"}, "first") == (
        "first ended in 40P01 DeadlockDetected"
    )
