"""What the worker does by the clock: tasks that beat sends, one for each name in `broker.routing.CHORES`.

A chore finds its work in PostgreSQL. It may come late, twice, or at the same time as itself, and does no harm.
"""

from collections.abc import Callable, Mapping
from functools import wraps

import structlog
from celery import Celery, Task

from release_worker.broker.publishing import message_of_scheduled, publish, publisher_again
from release_worker.broker.routing import CHORES, DELIVER, FOLD_MEASUREMENTS, SWEEP, TICK, TIDY, WATCH_DRIFT
from release_worker.domain.outcomes import Failed
from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.errors import DatabaseUnavailable, WorkerLost
from release_worker.worker.delivering import sender
from release_worker.worker.runtime import runtime_of
from release_worker.worker.telling import tell

logger = structlog.get_logger(__name__)


def register_chores(app: Celery) -> None:
    """Give the app its chores. They send no events: Flower would show little else."""
    for name in CHORES:
        app.task(CARRIED_OUT_BY[name], name=name, bind=True, ignore_result=True, send_events=False)


def _said_in_a_line(chore: Callable[[Task], None]) -> Callable[[Task], None]:
    """Without a database no chore can be done, and each comes again within seconds: a line says so, not a traceback."""

    @wraps(chore)
    def done(task: Task) -> None:
        try:
            chore(task)
        except DatabaseUnavailable as error:
            logger.warning("chore_not_done", chore=task.name, reason=error.message)

    return done


@_said_in_a_line
def sweep(task: Task) -> None:
    """Publish again what the broker has lost."""
    swept = runtime_of(task.app).sweep(publisher_again(task.app))
    for request_id in swept.exhausted:
        tell(Failed(WorkerLost(attempts=runtime_of(task.app).retry.attempts)), request_id=request_id)
    if swept.published or swept.exhausted or swept.refused:
        logger.warning("requests_swept", published=swept.published, exhausted=swept.exhausted, refused=swept.refused)


@_said_in_a_line
def fold_measurements(task: Task) -> None:
    """Add what was measured to the totals that metrics show."""
    runtime_of(task.app).fold_measurements()


@_said_in_a_line
def tick(task: Task) -> None:
    """Fire the schedules that are due."""

    def publish_made(made: ScheduledRequest) -> None:
        publish(task.app, message_of_scheduled(made), kept=True)

    ticked = runtime_of(task.app).tick(publish_made)
    for fired in ticked.fired:
        about = {"schedule_id": str(fired.schedule_id), "schedule": fired.name}
        instants = [instant.isoformat() for instant in fired.instants]
        if fired.requests:
            logger.info("schedule_fired", instants=instants, requests=len(fired.requests), **about)
        if fired.frozen:
            logger.warning("schedule_frozen", projects=fired.frozen, **about)
        if fired.missed:
            logger.warning("schedule_missed", **about)
    for schedule_id, reason in ticked.unplanned.items():
        logger.warning("scheduled_rollback_not_planned", schedule_id=str(schedule_id), reason=reason)
    for stopped in ticked.suspended:
        logger.warning(
            "schedule_suspended", schedule_id=str(stopped.schedule_id), schedule=stopped.name, reason=stopped.reason
        )
    if ticked.unpublished:
        logger.warning("scheduled_requests_not_published", requests=ticked.unpublished)


@_said_in_a_line
def deliver(task: Task) -> None:
    """Tell those who subscribed what has happened."""
    runtime = runtime_of(task.app)
    attempts = runtime.deliver(sender(task.app, runtime.poster))
    for attempt in attempts:
        about = {"event_id": str(attempt.event_id), "subscription_id": str(attempt.subscription_id)}
        if attempt.failed is not None:
            logger.warning("event_not_delivered", reason=attempt.failed, given_up=attempt.given_up, **about)
        if attempt.disabled is not None:
            logger.error("subscription_disabled", reason=attempt.disabled, subscription_id=about["subscription_id"])
    arrived = sum(attempt.failed is None for attempt in attempts)
    if arrived:
        logger.info("events_delivered", count=arrived)


@_said_in_a_line
def tidy(task: Task) -> None:
    """Delete requests that ended long ago and that nothing names, and old events that nobody waits for."""
    deleted = runtime_of(task.app).tidy()
    if deleted:
        logger.info("requests_deleted", **{f"{kind}_{status}": number for (kind, status), number in deleted.items()})
    events = runtime_of(task.app).forget_events()
    if events:
        logger.info("events_deleted", count=events)


@_said_in_a_line
def watch_drift(task: Task) -> None:
    """Look whether toolsets have drifted from their current releases."""
    watched = runtime_of(task.app).watch_drift()
    for toolset_id in watched.turned:
        logger.warning("drift_detected", toolset_id=str(toolset_id))
    for toolset_id, reason in watched.failed.items():
        logger.warning("drift_not_known", toolset_id=str(toolset_id), reason=reason)


CARRIED_OUT_BY: Mapping[str, Callable[[Task], None]] = {
    SWEEP: sweep,
    FOLD_MEASUREMENTS: fold_measurements,
    TICK: tick,
    DELIVER: deliver,
    TIDY: tidy,
    WATCH_DRIFT: watch_drift,
}
