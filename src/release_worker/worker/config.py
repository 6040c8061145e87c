"""Celery's settings, each with its reason. `celeryconfig.py` of a deployment comes on top of these."""

from typing import Any

from release_worker.broker.address import Broker, sentinel_options
from release_worker.broker.routing import CHORES, MAINTENANCE, SHARED, TASKS
from release_worker.domain.limits import Limits
from release_worker.domain.requests.kinds import KINDS
from release_worker.settings import Settings, read_settings


def defaults() -> dict[str, Any]:
    """The package's settings, with the addresses of this process's environment. Raises NotConfigured."""
    return worker_settings(read_settings())


def worker_settings(settings: Settings) -> dict[str, Any]:
    """The settings of a worker that serves all queues, unless it is started for some of them."""
    limits, broker = settings.limits, Broker.of(settings)
    return {
        **SHARED,
        **broker.settings(limits, settings.queues_beside_ours),
        **_consuming(broker, limits),
        "result_backend": settings.result_backend,
        "result_backend_transport_options": sentinel_options(settings.sentinel),
        # A worker takes a message only when it can work on it at once.
        "worker_prefetch_multiplier": 1,
        # A message is given back when its worker dies …
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        # … by publishing it again with a count, so that one that kills every worker comes to an end (celery#9082).
        "task_retry_on_worker_lost": True,
        # Room for the failures that the ledger sees first; hard-limit handlers run in the parent, so no work is done
        # there.
        "task_soft_time_limit": limits.soft_time_limit,
        "task_time_limit": limits.hard_time_limit,
        # TERM (with REMAP_SIGTERM=SIGQUIT) and QUIT let what runs finish, then give back the rest.
        "worker_soft_shutdown_timeout": limits.soft_shutdown_timeout,
        "worker_enable_soft_shutdown_on_idle": True,
        # A task that runs twice is harmless here; killing one in its commit is not needed.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # Wait for the broker for ever: whoever runs the worker decides when it has waited enough.
        "broker_connection_max_retries": None,
        "broker_connection_retry_on_startup": True,
        # READONLY during a failover is a channel error (celery#7946).
        "broker_channel_error_retry": True,
        # A mistyped queue must not make a list that nobody reads.
        "task_create_missing_queues": False,
        "task_default_queue": "releases",
        "task_routes": {name: {"queue": MAINTENANCE} for name in CHORES}
        | {TASKS[kind]: {"queue": model.queue} for kind, model in KINDS.items()},
        "beat_schedule": {name.removeprefix("release_worker."): _tick(name, limits) for name in CHORES},
        # Flower and the events of Celery show nothing without these.
        "worker_send_task_events": True,
        # Flower knows from events. The result backend would hear of each task that it has begun, once more.
        "task_track_started": False,
    }


def _consuming(broker: Broker, limits: Limits) -> dict[str, Any]:
    """How a worker takes messages. A lost connection must not end one that has a task running."""
    if broker.is_rabbitmq:
        # Each queue is handed out by itself, so a rollback waits for no release that is not in this worker yet.
        return {"worker_consumer": "release_worker.broker.careful_consumer:CarefulConsumer"}
    shared: dict[str, Any] = broker.settings(limits)["broker_transport_options"]
    return {
        "worker_consumer": "release_worker.broker.signing_consumer:SigningConsumer",
        # A rollback's queue is looked at before the releases that wait, every time.
        "broker_transport_options": {**shared, "queue_order_strategy": "priority"},
    }


def _tick(chore: str, limits: Limits) -> dict[str, Any]:
    """An entry of beat's schedule. A tick that comes late is dropped: the next one does its work."""
    seconds = getattr(limits, CHORES[chore])
    return {"task": chore, "schedule": seconds, "options": {"queue": MAINTENANCE, "expires": seconds}}
