"""What becomes of instants that were missed."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_worker.domain.schedules.misfires import MOST_AT_ONCE, Due, Misfire, Tolerance, due_at
from release_worker.domain.schedules.recurrence import recurrence_of, several_after, zone_named
from release_worker.domain.schedules.schedule import NewSchedule

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EACH_MINUTE = recurrence_of("* * * * *", None, zone_named("UTC"))


def tolerance(misfire: Misfire, catch_up: timedelta = 10 * MINUTE) -> Tolerance:
    return Tolerance(misfire, on_time=MINUTE, catch_up=catch_up)


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


@pytest.mark.parametrize("misfire", ["skip", "once", "all"])
def test_an_instant_on_time_fires_whatever_the_policy(misfire: Misfire) -> None:
    assert due_at(EACH_MINUTE, NOON, at(0.5), tolerance(misfire)) == Due((NOON,), at(1), missed=False)


@pytest.mark.parametrize(
    ("misfire", "fires", "missed"),
    [("skip", [5], True), ("once", [5], True), ("all", [0, 1, 2, 3, 4, 5], False)],
)
def test_of_several_instants_the_latest_fires_or_all(misfire: Misfire, fires: list[int], missed: bool) -> None:
    due = due_at(EACH_MINUTE, NOON, at(5.2), tolerance(misfire))
    assert due == Due(tuple(map(at, fires)), at(6), missed=missed)


@pytest.mark.parametrize(("misfire", "fires"), [("skip", []), ("once", [0]), ("all", [0])])
def test_a_late_instant_is_skipped_or_caught_up(misfire: Misfire, fires: list[int]) -> None:
    hourly = recurrence_of("0 * * * *", None, zone_named("UTC"))
    due = due_at(hourly, NOON, at(8), tolerance(misfire))
    assert due == Due(tuple(map(at, fires)), at(60), missed=not fires)


@pytest.mark.parametrize(("misfire", "fires"), [("skip", []), ("once", []), ("all", [])])
def test_what_is_older_than_the_window_is_lost(misfire: Misfire, fires: list[int]) -> None:
    hourly = recurrence_of("0 * * * *", None, zone_named("UTC"))
    due = due_at(hourly, NOON, at(10.1), tolerance(misfire))
    assert due == Due(tuple(map(at, fires)), at(60), missed=True)


def test_of_all_only_those_in_the_window_fire() -> None:
    due = due_at(EACH_MINUTE, NOON, at(30), tolerance("all"))
    assert due == Due(tuple(at(minutes) for minutes in range(20, 31)), at(31), missed=True)


def test_a_window_shorter_than_on_time_counts_as_long() -> None:
    assert due_at(EACH_MINUTE, NOON, at(0.9), tolerance("once", timedelta(0))).fires == (NOON,)


def test_very_many_instants_come_in_portions_without_a_gap() -> None:
    each_second = recurrence_of("* * * * * *", None, zone_named("UTC"))
    now, first = at(5), NOON
    fired: list[datetime] = []
    while first <= now:
        due = due_at(each_second, first, now, tolerance("all"))
        assert 0 < len(due.fires) <= MOST_AT_ONCE
        fired += due.fires
        assert due.following is not None
        first = due.following
    assert fired == [NOON, *several_after(each_second, NOON, 300)]


def test_a_single_instant_leaves_nothing_to_follow() -> None:
    once = recurrence_of(None, NOON, zone_named("UTC"))
    for misfire in get_args(Misfire):
        assert due_at(once, NOON, at(0.5), tolerance(misfire)) == Due((NOON,), None, missed=False)


@given(
    misfire=st.sampled_from(["skip", "once", "all"]),
    late=st.integers(0, 7_200),
    catch_up=st.integers(0, 3_600),
    cron=st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *", "*/20 * * * * *"]),
)
def test_what_fires_is_due_in_order_and_in_the_window(misfire: Misfire, late: int, catch_up: int, cron: str) -> None:
    recurrence = recurrence_of(cron, None, zone_named("UTC"))
    now, allowed = NOON + timedelta(seconds=late), tolerance(misfire, timedelta(seconds=catch_up))
    due = due_at(recurrence, NOON, now, allowed)
    possible = [NOON, *several_after(recurrence, NOON, 2 + late)]
    assert list(due.fires) == sorted(set(due.fires))
    assert set(due.fires) <= {one for one in possible if now - allowed.longest <= one <= now}
    assert due.following is not None
    assert due.following > (due.fires[-1] if due.fires else now - allowed.longest)
    if misfire != "all":
        assert due.following > now
        assert len(due.fires) <= 1


@pytest.mark.parametrize(
    ("misfire", "given_overlap", "expected"),
    [("once", None, "skip"), ("skip", None, "skip"), ("all", None, "queue"), ("all", "skip", "skip")],
)
def test_to_catch_up_with_all_means_to_queue_them(misfire: Misfire, given_overlap: str | None, expected: str) -> None:
    fields = {"name": "n", "organization": "o", "cron": "* * * * *", "actor": "a"}
    new = NewSchedule.model_validate({**fields, "misfire": misfire, "overlap": given_overlap})
    assert new.policy_of_overlap == expected
