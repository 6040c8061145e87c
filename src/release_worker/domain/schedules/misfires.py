"""Which of the instants that are due fire, and which is the next: the worker may have been away."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal, assert_never

from release_worker.domain.schedules.recurrence import Recurrence, first_after, latest_between

# What becomes of instants that were missed. `skip`: the latest is fired if it is still on time, and nothing else.
# `once`: the latest is fired if it lies in the catch-up window. `all`: each that lies in the window is fired.
Misfire = Literal["skip", "once", "all"]

# With `all`, so many instants of a schedule are fired at a time; the rest are still due then.
MOST_AT_ONCE = 60


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How late an instant may be fired: one counts as on time for `on_time`, and is caught up for `catch_up`."""

    misfire: Misfire
    on_time: timedelta
    catch_up: timedelta

    @property
    def longest(self) -> timedelta:
        return self.on_time if self.misfire == "skip" else max(self.on_time, self.catch_up)


@dataclass(frozen=True, slots=True)
class Due:
    """`fires`: the instants to fire, oldest first; `following`: the instant that is due next, None if none is left;
    `missed`: some instant was left out."""

    fires: tuple[datetime, ...]
    following: datetime | None
    missed: bool


def due_at(recurrence: Recurrence, first: datetime, now: datetime, tolerance: Tolerance) -> Due:
    """What to do `now` with a schedule whose instant `first` has come."""
    oldest = now - tolerance.longest
    match tolerance.misfire:
        case "all":
            return _each(recurrence, first, now, oldest)
        case "once" | "skip":
            return _latest(recurrence, first, now, oldest)
        case _:
            assert_never(tolerance.misfire)


def _latest(recurrence: Recurrence, first: datetime, now: datetime, oldest: datetime) -> Due:
    found = latest_between(recurrence, max(first, oldest), now)
    latest = found if found is not None else first
    fires = (latest,) if latest >= oldest else ()
    return Due(fires, first_after(recurrence, max(first, now)), missed=fires != (first,))


def _each(recurrence: Recurrence, first: datetime, now: datetime, oldest: datetime) -> Due:
    just_before = oldest - timedelta(microseconds=1)
    later = recurrence.after(max(first, just_before))
    instants = [first] if first >= oldest else []
    instants += islice(later, MOST_AT_ONCE + 1 - len(instants))
    fires = tuple(instant for instant in instants[:MOST_AT_ONCE] if instant <= now)
    following = instants[len(fires)] if len(instants) > len(fires) else None
    return Due(fires, following, missed=first < oldest)
