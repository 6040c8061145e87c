"""Workers, beat, and what waits for them."""

from collections.abc import Iterator

from release_worker.broker.facts import backlog
from release_worker.broker.routing import QUEUE_NAMES
from release_worker.broker.signs import signs_in
from release_worker.broker.stray import DEFAULT_QUEUE, stray_messages
from release_worker.doctor.deployment import Deployment
from release_worker.doctor.finding import Finding, ok, unknown, warning, wrong
from release_worker.domain.limits import Limits
from release_worker.queries.health import stuck_requests
from release_worker.queries.reading import reading

_START_THE_BROKER = (
    "Start the broker (Redis, or what RELEASE_WORKER_BROKER_URL names): without it nobody can take them."
)
_PUBLISH_AGAIN = (
    "Publish them again: release-worker requests sweep. If they stay, see what is said of workers and queues."
)


def workers(deployment: Deployment) -> Iterator[Finding]:
    """Does any worker answer?"""
    found = [consumer for consumer in deployment.consumers() if set(consumer.queues) & set(QUEUE_NAMES)]
    if not found:
        yield wrong("no worker answers", "Start one: celery -A release_worker worker")
    for consumer in found:
        yield ok(f"{consumer.name} reads {', '.join(consumer.queues)}")


def queues(deployment: Deployment) -> Iterator[Finding]:
    """Does somebody read each of our queues?"""
    read = {queue for consumer in deployment.consumers() for queue in consumer.queues}
    for name in QUEUE_NAMES:
        found = backlog(deployment.broker, deployment.settings.limits, name)
        waiting = f", {found.waiting} messages wait" if found is not None and found.waiting else ""
        if name in read:
            yield ok(f"queue {name} is read{waiting}")
        else:
            yield wrong(
                f"no worker reads queue {name}{waiting}", f"Start one: celery -A release_worker worker -Q {name}"
            )


def stray(deployment: Deployment) -> Iterator[Finding]:
    """Does something of ours lie where no worker of ours reads?"""
    read = [queue for one in deployment.consumers() if set(one.queues) & set(QUEUE_NAMES) for queue in one.queues]
    found = stray_messages(deployment.broker, deployment.settings.limits, read=read)
    if not found:
        yield ok(f"no message of ours lies in queue {DEFAULT_QUEUE}")
        return
    tasks = ", ".join(f"{count} of {task}" for task, count in sorted(found.items()))
    yield wrong(
        f"messages of ours lie in queue {DEFAULT_QUEUE}, which no worker of ours reads: {tasks}",
        'Let their senders name the queue: send_task("release_worker.create_release", …, queue="releases"). To have '
        f"those that lie there done: celery -A release_worker worker -Q {','.join(QUEUE_NAMES)},{DEFAULT_QUEUE}, with "
        f"RELEASE_WORKER_EXTRA_QUEUES={DEFAULT_QUEUE}, if nobody else uses that queue.",
    )


def visibility(deployment: Deployment) -> Iterator[Finding]:
    """Does each consumer leave a message to its worker for long enough? The shortest of any counts for all."""
    if not deployment.broker.is_redis:
        return
    needed = deployment.settings.limits.visibility_timeout
    for consumer in deployment.consumers():
        if consumer.visibility_timeout is None:
            yield unknown(f"{consumer.name} does not say its visibility timeout")
        elif consumer.visibility_timeout < needed:
            yield wrong(
                f"{consumer.name} has messages delivered again after {consumer.visibility_timeout:g} s, before a "
                f"worker is sure to be done ({needed:g} s)",
                f"Set RELEASE_WORKER_VISIBILITY_TIMEOUT={needed:g} for it, or in a Celery app of your own "
                f'broker_transport_options = {{"visibility_timeout": {needed:g}}}, and start it anew.',
            )
        else:
            yield ok(f"{consumer.name} has messages delivered again after {consumer.visibility_timeout:g} s")


def beat(deployment: Deployment) -> Iterator[Finding]:
    """Does beat work: has the sweeper been at what is overdue?"""
    limits = deployment.settings.limits
    with reading(deployment.database()) as connection:
        unswept = stuck_requests(connection, longer_than=_left_by_a_sweeper(limits), attempts=limits.attempts).overdue
    alive = [sign.name for sign in signs_in(deployment.settings.signs_directory, "beat") if sign.is_recent]
    if unswept:
        remedy = _START_THE_BROKER if deployment.broker_is_away() else "Start beat: celery -A release_worker beat"
        yield wrong(f"nobody sweeps: {unswept} requests are overdue", remedy)
    elif alive:
        yield ok(f"beat works on this host: {', '.join(alive)}")
    else:
        yield unknown("no beat works on this host; nothing is overdue, so there may be one elsewhere")


def requests(deployment: Deployment) -> Iterator[Finding]:
    """Does each request have somebody at work on it, or a message that is on its way?"""
    limits = deployment.settings.limits
    with reading(deployment.database()) as connection:
        stuck = stuck_requests(connection, longer_than=_left_by_a_sweeper(limits), attempts=limits.attempts)
    if stuck.overdue:
        remedy = _START_THE_BROKER if deployment.broker_is_away() else _PUBLISH_AGAIN
        yield wrong(f"{stuck.overdue} requests wait and nobody takes them, the oldest {stuck.oldest_overdue}", remedy)
    if stuck.exhausted:
        yield wrong(
            f"{stuck.exhausted} requests have no attempts left, and their last worker has gone silent",
            "Let them fail: release-worker requests sweep. Then look at release-worker requests list --status failed",
        )
    if stuck.lapsed > stuck.exhausted:
        yield warning(
            f"{stuck.lapsed - stuck.exhausted} requests run in workers that have gone silent, such as "
            f"{stuck.oldest_lapsed}",
            "Have them taken over: release-worker requests sweep",
        )
    if not stuck.overdue and not stuck.lapsed:
        yield ok("no request is stuck")


def _left_by_a_sweeper(limits: Limits) -> float:
    """Seconds after which a request has been swept, if there is a sweeper; two ticks may be missed."""
    return limits.patience + 3 * limits.sweep_interval
