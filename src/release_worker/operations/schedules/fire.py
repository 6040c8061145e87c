"""Fire a schedule that is due, in the transaction that holds its row."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.schedules.asked import heeds_freezes
from release_worker.domain.schedules.holding import hold_after, turn_of
from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.domain.schedules.misfires import Due, due_at
from release_worker.domain.schedules.recurrence import first_after
from release_worker.domain.schedules.schedule import Schedule
from release_worker.errors import ScheduleMissed
from release_worker.store.freezes import frozen_projects
from release_worker.store.owners.scopes import require_scope
from release_worker.store.scheduled_requests import Instant, insert_scheduled
from release_worker.store.schedules import Ahead, move_on

# Once a schedule has made so many requests, its further instants are the next tick's.
MOST_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of a schedule: the instants that it fired, the requests that they made, whether an instant was left
    out because it came too late, and how many projects got nothing because they are frozen."""

    schedule_id: UUID
    name: str
    instants: Sequence[datetime]
    requests: Sequence[ScheduledRequest]
    missed: bool
    frozen: int


def fire(connection: Connection, schedule: Schedule, now: datetime, on_time: timedelta) -> Fired:
    """Make the requests of each instant that is due, or has waited for the end of a freeze, and say what is ahead.

    Raises InvalidRequest for a row that is no valid schedule, ToolsetNotFound and OwnerNotFound if what it is for is
    gone, and ScheduleMissed if its only instant came too late, or fell into a freeze and does not wait.
    """
    due = _due(schedule, now, on_time)
    require_scope(connection, schedule)
    turn = turn_of(schedule, due, now)
    heeds = turn.instants and heeds_freezes(schedule.request)
    frozen = frozen_projects(connection, schedule, at=now) if heeds else {}
    fired, made = _fired(connection, schedule, turn.instants, frozen)
    if schedule.fire_at is not None and schedule.misfire == "skip" and frozen and not made:
        raise ScheduleMissed("its instant fell into a freeze, and it does not wait", name=schedule.name)
    hold = hold_after(schedule, turn, fired, now=now, frozen_until=min(frozen.values(), default=None))
    move_on(
        connection,
        schedule,
        Ahead(
            next_fire_at=next((instant for instant in turn.due if instant not in fired), due.following),
            last_fire_at=max(fired) if made or (fired and not frozen) else None,
            held_fire_at=hold.fire_at,
            held_until=hold.until,
        ),
    )
    return Fired(schedule.id, schedule.name, fired, made, missed=due.missed, frozen=len(frozen))


def _due(schedule: Schedule, now: datetime, on_time: timedelta) -> Due:
    """No instant is due a second time, whatever the clock and `next_fire_at` say."""
    recurrence, last = schedule.recurrence, schedule.last_fire_at
    first = schedule.next_fire_at
    if first is None and schedule.held_fire_at is None:  # the row was written with SQL
        first = schedule.fire_at or first_after(recurrence, now)
    if first is not None and last is not None and first <= last:
        first = first_after(recurrence, last)
    if first is None or first > now:
        return Due((), first, missed=False)
    due = due_at(recurrence, first, now, schedule.tolerance(on_time))
    if schedule.fire_at is not None and not due.fires:
        raise ScheduleMissed(name=schedule.name, instant=first.isoformat())
    return due


def _fired(
    connection: Connection, schedule: Schedule, instants: Sequence[datetime], frozen: Collection[UUID]
) -> tuple[list[datetime], list[ScheduledRequest]]:
    """Those of the instants that were fired, and what they made."""
    request = schedule.request
    fired: list[datetime] = []
    made: list[ScheduledRequest] = []
    for instant in instants:
        if len(made) >= MOST_REQUESTS:
            break
        common = Instant(schedule.key(instant), overlap=schedule.overlap == "queue", without=frozen)
        made += insert_scheduled(connection, schedule, request, common)
        fired.append(instant)
    return fired, made
