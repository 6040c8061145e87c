"""Fire a schedule that is due, in the transaction that holds its row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.domain.schedules.misfires import Due, due_at
from release_worker.domain.schedules.recurrence import first_after
from release_worker.domain.schedules.schedule import Schedule
from release_worker.errors import ScheduleMissed
from release_worker.store.owners.scopes import require_scope
from release_worker.store.scheduled_requests import insert_scheduled
from release_worker.store.schedules import move_on

# A schedule that catches up fires no further instant in this tick once it has made so many requests.
MOST_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Fired:
    """What became of a schedule: the instants that it fired, the requests that they made, and whether an instant was
    left out because it came too late."""

    schedule_id: UUID
    name: str
    instants: Sequence[datetime]
    requests: Sequence[ScheduledRequest]
    missed: bool
    next_fire_at: datetime | None


def fire(connection: Connection, schedule: Schedule, now: datetime, on_time: timedelta) -> Fired:
    """Make the requests of each instant that is due, and say which is next.

    Raises InvalidRequest for a row that is no valid schedule, ToolsetNotFound and OwnerNotFound if what it is for is
    gone, and ScheduleMissed if its only instant came too late.
    """
    due = _due(schedule, now, on_time)
    request = schedule.request
    require_scope(connection, schedule)
    made: list[ScheduledRequest] = []
    fired: list[datetime] = []
    following = due.following
    for instant in due.fires:
        if len(made) >= MOST_REQUESTS:
            following = instant
            break
        overlap = schedule.overlap == "queue"
        made += insert_scheduled(connection, schedule, request, schedule.key(instant), overlap=overlap)
        fired.append(instant)
    move_on(connection, schedule, next_fire_at=following, last_fire_at=fired[-1] if fired else None)
    return Fired(schedule.id, schedule.name, fired, made, missed=due.missed, next_fire_at=following)


def _due(schedule: Schedule, now: datetime, on_time: timedelta) -> Due:
    """No instant is fired a second time, whatever the clock and `next_fire_at` say."""
    recurrence, last = schedule.recurrence, schedule.last_fire_at
    first = schedule.next_fire_at
    if first is None:  # the row was written with SQL
        first = schedule.fire_at or first_after(recurrence, now)
    if first is not None and last is not None and first <= last:
        first = first_after(recurrence, last)
    if first is None or first > now:
        return Due((), first, missed=False)
    due = due_at(recurrence, first, now, schedule.tolerance(on_time))
    if schedule.fire_at is not None and not due.fires:
        raise ScheduleMissed(name=schedule.name, instant=first.isoformat())
    return due
