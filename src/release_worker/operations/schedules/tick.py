"""Fire what is due: each schedule in one transaction with the requests that it makes, published after its commit.

Any number of ticks may run at once. Whoever holds a schedule's row fires it; the others pass by. What was committed and
not published is found by the sweeper. A schedule that cannot fire is suspended, and the others go on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Engine, exc

from release_worker.domain.events import Event
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.domain.schedules.schedule import Schedule
from release_worker.domain.text import printable
from release_worker.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    OperationTimeout,
    PermanentError,
    VersionConflict,
)
from release_worker.operations.schedules.fire import Fired, fire
from release_worker.operations.schedules.validity import check_rollback
from release_worker.state.registry import Registry
from release_worker.store.conflicts import without_values
from release_worker.store.engine import ledger_transaction
from release_worker.store.events import add_event
from release_worker.store.schedules import due_schedules, schedule_of_id, suspend, take_due

Publish = Callable[[ScheduledRequest], None]

# What a row that somebody wrote with SQL may raise, beyond what is checked, and what PostgreSQL refuses of its
# requests: it is that schedule's trouble alone.
_BROKEN = (exc.DBAPIError, ArithmeticError, AssertionError, LookupError, TypeError, ValueError)
LONGEST_REASON = 500


@dataclass(frozen=True, slots=True)
class TickPolicy:
    """`on_time`: seconds for which an instant counts as on time; `limit`: how many schedules one tick fires; `at`: what
    time it is, by default what PostgreSQL says."""

    on_time: float = DEFAULTS.on_time
    limit: int = 200
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Suspension:
    """A schedule that cannot fire, and why."""

    schedule_id: UUID
    name: str
    reason: str


@dataclass(slots=True)
class Ticked:
    """What a tick did. `busy`: ids of schedules whose rows somebody else held or changed, or that took too long: the
    next tick's. `unplanned`: why rollbacks could not be planned; they are fired all the same."""

    fired: list[Fired] = field(default_factory=list)
    suspended: list[Suspension] = field(default_factory=list)
    busy: list[UUID] = field(default_factory=list)
    unplanned: dict[UUID, str] = field(default_factory=dict)
    published: int = 0
    unpublished: int = 0


def tick(engine: Engine, registry: Registry, publish: Publish, policy: TickPolicy | None = None) -> Ticked:
    """Fire each schedule whose instant has come. `publish` may raise BrokerUnavailable: the rest is fired all the same,
    and the sweeper publishes it. Raises DatabaseUnavailable; what was fired until then stays."""
    policy = policy or TickPolicy()
    ticked = Ticked()
    with ledger_transaction(engine) as connection:
        due = due_schedules(connection, at=policy.at, limit=policy.limit)
    for schedule_id in due:
        try:
            fired = _fired(engine, registry, schedule_id, policy, ticked)
        except (VersionConflict, OperationTimeout):
            ticked.busy.append(schedule_id)
        except (PermanentError, *_BROKEN) as error:
            ticked.suspended += _suspended(engine, schedule_id, error, policy)
        else:
            if fired is not None:
                ticked.fired.append(fired)
                _publish(fired, publish, ticked)
    return ticked


def _fired(engine: Engine, registry: Registry, schedule_id: UUID, policy: TickPolicy, ticked: Ticked) -> Fired | None:
    """What became of a schedule; None if it is no longer due, or another tick's."""
    with ledger_transaction(engine) as connection:
        seen = schedule_of_id(connection, schedule_id)
    if seen is None:
        return None
    _check(engine, registry, seen, ticked)
    with ledger_transaction(engine) as connection:
        taken = take_due(connection, schedule_id, at=policy.at)
        if taken is None or taken[0] != seen:  # what was checked is what is fired
            return None
        schedule, now = taken
        return fire(connection, schedule, now, timedelta(seconds=policy.on_time))


def _check(engine: Engine, registry: Registry, schedule: Schedule, ticked: Ticked) -> None:
    """Raises what `check_rollback` does. What takes too long to plan, or breaks a plug-in, is fired all the same: its
    request tells how it ends. A time limit of this process is no other: the rest of a tick is short, and if it were
    raised, each tick would come no further than here."""
    try:
        check_rollback(engine, registry, schedule)
    except Exception as error:  # whatever a plug-in raises
        if isinstance(error, (PermanentError, VersionConflict, DatabaseUnavailable)):
            raise
        shown = without_values(error)
        ticked.unplanned[schedule.id] = printable(f"{type(shown).__name__}: {shown}", LONGEST_REASON)


def _suspended(engine: Engine, schedule_id: UUID, error: Exception, policy: TickPolicy) -> list[Suspension]:
    """Suspend it, once, and tell whoever wants to know."""
    reason = _reason(error)
    with ledger_transaction(engine) as connection:
        row = suspend(connection, schedule_id, reason, at=policy.at)
        if row is None:
            return []
        scope = {"organization_id": row.organization_id, "project_id": row.project_id, "toolset_id": row.toolset_id}
        data = {"schedule_id": str(schedule_id), "name": row.name, "reason": reason}
        add_event(connection, Event("schedule.suspended", data, **scope))
    return [Suspension(schedule_id, row.name, reason)]


def _reason(error: Exception) -> str:
    if isinstance(error, PermanentError):
        return printable(f"{type(error).__name__}: {error.message}", LONGEST_REASON)
    return f"the row cannot be used: {type(error).__name__}"


def _publish(fired: Fired, publish: Publish, ticked: Ticked) -> None:
    """A broker that is away is waited for once in a tick."""
    for request in fired.requests:
        if ticked.unpublished:
            ticked.unpublished += 1
            continue
        try:
            publish(request)
        except BrokerUnavailable:
            ticked.unpublished += 1
        else:
            ticked.published += 1
