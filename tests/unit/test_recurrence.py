"""When schedules fire: as Debian's cron would, in whatever zone, and when the clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_worker.domain.schedules.recurrence import (
    first_after,
    instant_of,
    latest_between,
    recurrence_of,
    several_after,
    zone_named,
)
from release_worker.errors import InvalidRequest

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Kolkata", "UTC", "Pacific/Apia")
EXPRESSIONS = (
    "30 2 * * *",
    "0,30 1-3 * * *",
    "*/15 * * * *",
    "15 * * * *",
    "0 0 * * *",
    "59 23 L * *",
    "0 12 29 2 *",
    "0 9 * * MON#1",
    "30 1 1 * FRI",
    "10 30 2 * * *",
)


def moments(first: int, last: int) -> st.SearchStrategy[datetime]:
    """Whole seconds between the beginnings of two years."""
    begin, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (first, last))
    return st.integers(begin, end).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def fires(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next times of day in the zone, with their offsets."""
    found = several_after(recurrence_of(cron, None, zone_named(zone)), datetime.fromisoformat(after), count)
    return [instant.astimezone(zone_named(zone)).isoformat(timespec="minutes") for instant in found]


# The clocks of Berlin skip 02:00 to 03:00 on 2026-03-29, and pass it twice on 2026-10-25.
@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("0,30 2 * * *", ["2026-03-28T02:00+01:00", "2026-03-28T02:30+01:00", "2026-03-29T03:00+02:00"]),
        ("30 1 * * *", ["2026-03-28T01:30+01:00", "2026-03-29T01:30+01:00", "2026-03-30T01:30+02:00"]),
        ("30 3 * * *", ["2026-03-28T03:30+01:00", "2026-03-29T03:30+02:00", "2026-03-30T03:30+02:00"]),
    ],
)
def test_a_time_of_day_that_is_skipped_in_spring_comes_once_when_the_gap_ends(cron: str, expected: list[str]) -> None:
    assert fires(cron, "Europe/Berlin", "2026-03-28T00:00+01:00", 3) == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("30 2 * * *", ["2026-10-24T02:30+02:00", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("0 3 * * *", ["2026-10-24T03:00+02:00", "2026-10-25T03:00+01:00", "2026-10-26T03:00+01:00"]),
    ],
)
def test_a_time_of_day_that_comes_twice_in_autumn_fires_the_first_time(cron: str, expected: list[str]) -> None:
    assert fires(cron, "Europe/Berlin", "2026-10-24T00:00+02:00", 3) == expected


@pytest.mark.parametrize("after", ["2026-10-25T02:30+02:00", "2026-10-25T02:45+02:00", "2026-10-25T02:15+01:00"])
def test_it_does_not_come_back_to_the_first_of_two_equal_hours_from_the_second(after: str) -> None:
    assert fires("30 2 * * *", "Europe/Berlin", after, 1) == ["2026-10-26T02:30+01:00"]


def test_what_comes_each_hour_follows_elapsed_time() -> None:
    assert fires("30 * * * *", "Europe/Berlin", "2026-03-29T01:00+01:00", 3) == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:30+02:00",
        "2026-03-29T04:30+02:00",
    ]
    assert fires("30 * * * *", "Europe/Berlin", "2026-10-25T02:00+02:00", 3) == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:30+01:00",
    ]


def test_with_seconds_elapsed_time_counts_too() -> None:
    assert fires("0 30 2 * * *", "Europe/Berlin", "2026-03-28T12:00+01:00", 1) == ["2026-03-30T02:30+02:00"]
    assert fires("0 30 2 * * *", "Europe/Berlin", "2026-10-25T00:00+02:00", 2) == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:30+01:00",
    ]


def test_midnight_may_be_what_is_skipped_and_half_an_hour_too() -> None:
    assert fires("0 0 * * *", "America/Havana", "2026-03-07T12:00-05:00", 2) == [
        "2026-03-08T01:00-04:00",
        "2026-03-09T00:00-04:00",
    ]
    assert fires("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00+10:30", 2) == [
        "2026-10-04T02:30+11:00",
        "2026-10-05T02:15+11:00",
    ]


def test_months_end_when_they_end_and_leap_days_come_when_they_come() -> None:
    assert [one[:10] for one in fires("0 0 31 * *", "UTC", "2026-01-31T12:00Z", 3)] == [
        "2026-03-31",
        "2026-05-31",
        "2026-07-31",
    ]
    assert [one[:10] for one in fires("0 0 L * *", "UTC", "2028-01-31T12:00Z", 2)] == ["2028-02-29", "2028-03-31"]
    assert [one[:10] for one in fires("0 0 29 2 *", "UTC", "2096-02-29T12:00Z", 2)] == ["2104-02-29", "2108-02-29"]


@given(
    zone=st.sampled_from(ZONES),
    cron=st.sampled_from(EXPRESSIONS),
    start=moments(2024, 2028),
    ahead=st.integers(0, 30),
)
def test_the_same_instants_come_wherever_one_starts_to_look(zone: str, cron: str, start: datetime, ahead: int) -> None:
    recurrence = recurrence_of(cron, None, zone_named(zone))
    found = several_after(recurrence, start, 40)
    assert found == sorted(set(found))
    assert found[0] > start
    # From an instant itself, and from between it and the next.
    between = found[ahead] + (found[ahead + 1] - found[ahead]) / 2
    for begin in (found[ahead], between):
        assert list(islice(recurrence.after(begin), 9)) == found[ahead + 1 : ahead + 10]


@given(
    zone=st.sampled_from(ZONES),
    cron=st.sampled_from(EXPRESSIONS),
    after=moments(2024, 2027),
    length=st.integers(0, 40 * 86_400),
)
def test_the_latest_instant_is_the_last_of_all(zone: str, cron: str, after: datetime, length: int) -> None:
    recurrence = recurrence_of(cron, None, zone_named(zone))
    until = after + timedelta(seconds=length)
    expected = None
    for instant in recurrence.after(after):
        if instant > until:
            break
        expected = instant
    assert latest_between(recurrence, after, until) == expected


def test_the_latest_of_very_many_is_found_without_a_look_at_each() -> None:
    looked: list[datetime] = []

    class EachSecond:
        def after(self, instant: datetime):  # type: ignore[no-untyped-def]
            for one in recurrence_of("* * * * * *", None, BERLIN).after(instant):
                looked.append(one)
                yield one

    until = datetime(2026, 2, 1, tzinfo=UTC)
    assert latest_between(EachSecond(), until - timedelta(days=30), until) == until
    assert len(looked) < 100


def test_one_instant_comes_once() -> None:
    at = datetime(2026, 3, 29, 1, tzinfo=UTC)
    once = recurrence_of(None, at, BERLIN)
    assert first_after(once, at - timedelta(microseconds=1)) == at
    assert first_after(once, at) is None


@pytest.mark.parametrize(
    "cron",
    ["", "often", "* * * *", "* * * * * * *", "61 * * * *", "0 0 30 2 *", "0 0 31 4,6 *", "@daily", "é * * * *",
     "0 0 29-30 2 MON#6", "*/0 * * * *", "1-0 * * * *", "0" * 201],
)  # fmt: skip
def test_what_is_no_cron_expression_or_never_comes_is_refused(cron: str) -> None:
    with pytest.raises(InvalidRequest, match="cron: "):
        recurrence_of(cron, None, BERLIN)


@given(cron=st.text(alphabet="0123456789*/,-#LWSUNMOJA ²", max_size=20))
def test_any_text_is_a_recurrence_or_is_refused(cron: str) -> None:
    try:
        found = recurrence_of(cron, None, BERLIN)
    except InvalidRequest:
        return
    assert first_after(found, datetime(2026, 1, 1, tzinfo=UTC)) is not None


@pytest.mark.parametrize(
    "zone", ["", "Europe", "Mars/Base", "../Europe/Berlin", "/etc/localtime", "localtime", "right/UTC", "a\0b"]
)
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidRequest, match="IANA time zone"):
        zone_named(zone)


def test_an_instant_is_read_in_the_zone_unless_it_says_an_offset() -> None:
    assert instant_of("2026-07-01T02:00", BERLIN) == datetime(2026, 7, 1, tzinfo=UTC)
    assert instant_of("2026-07-01T02:00Z", BERLIN) == datetime(2026, 7, 1, 2, tzinfo=UTC)
    assert instant_of("2026-10-25T02:30+01:00", BERLIN) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("2026-03-29T02:30", "skip"),
        ("2026-10-25T02:30", "twice"),
        ("tomorrow", "ISO 8601"),
        ("9500-01-01T00:00", "years"),
        ("0001-01-01T00:00+14:00", "years"),
    ],
)
def test_an_instant_that_is_none_or_means_two_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        instant_of(text, BERLIN)
