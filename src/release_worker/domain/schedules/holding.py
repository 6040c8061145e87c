"""What a freeze holds back: which instants wait for its end, and when to look again.

With the policy `once` the latest instant waits, with `all` each of them; only the earliest is kept, the others follow
from the recurrence. An instant that waits is fired again for the toolsets of all projects: those that had it have it
already, under its key. With `skip` nothing waits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from release_worker.domain.schedules.misfires import MOST_AT_ONCE, Due
from release_worker.domain.schedules.recurrence import several_after
from release_worker.domain.schedules.schedule import Schedule

# A freeze may be taken back before its end.
LOOK_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Hold:
    """The instant that waits, and the moment at which to look again; both None if nothing waits."""

    fire_at: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """The instants that are to be fired now, oldest first: those that waited, and those that are due. `beyond`: the
    first that waited and has no place in this turn."""

    waited: Sequence[datetime]
    due: Sequence[datetime]
    beyond: datetime | None = None

    @property
    def instants(self) -> Sequence[datetime]:
        return (*self.waited, *self.due)


def turn_of(schedule: Schedule, due: Due, now: datetime) -> Turn:
    """The instants of this turn. What waited is not looked at before its time."""
    held = schedule.held_fire_at
    if held is None or schedule.held_until is None or schedule.held_until > now:
        return Turn((), due.fires)
    if schedule.misfire != "all":
        return Turn((), due.fires) if due.fires else Turn((held,), ())
    later = several_after(schedule.recurrence, held, MOST_AT_ONCE)
    before = schedule.next_fire_at  # what comes from then on is due, or not yet
    waited = [held, *takewhile(lambda instant: before is None or instant < before, later)]
    return Turn(waited[:MOST_AT_ONCE], due.fires, beyond=next(iter(waited[MOST_AT_ONCE:]), None))


def hold_after(
    schedule: Schedule, turn: Turn, fired: Sequence[datetime], *, now: datetime, frozen_until: datetime | None
) -> Hold:
    """What waits once these instants of the turn were fired. `frozen_until`: when the first freeze ends that kept some
    project's toolsets from them; None if there was none."""
    before = Hold(schedule.held_fire_at, schedule.held_until)
    if schedule.misfire == "skip":
        return Hold()
    if not fired:
        return before
    if frozen_until is not None:
        latest = schedule.misfire == "once"
        waiting = fired[-1] if latest else min(fired[0], schedule.held_fire_at or fired[0])
        return Hold(waiting, min(frozen_until, now + LOOK_AGAIN))
    if schedule.misfire == "all" and not turn.waited:
        return before
    left = turn.waited[len(fired)] if len(fired) < len(turn.waited) else turn.beyond
    return Hold() if left is None else Hold(left, now)
