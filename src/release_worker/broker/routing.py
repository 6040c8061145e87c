"""How a request travels: the names of tasks and queues, and the settings that both ends of the broker must share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID

from kombu import Queue as KombuQueue

from release_worker.domain.limits import Limits
from release_worker.domain.queues import Queue
from release_worker.domain.requests.kinds import KINDS

TASKS: Mapping[str, str] = {kind: f"release_worker.{kind}" for kind in KINDS}
MAINTENANCE: Queue = "maintenance"
SWEEP = "release_worker.sweep"
FOLD_MEASUREMENTS = "release_worker.fold_measurements"
TICK = "release_worker.tick"
DELIVER = "release_worker.deliver"
TIDY = "release_worker.tidy"
WATCH_DRIFT = "release_worker.watch_drift"
# What the worker does by the clock, and the limit that says how often. Beat sends each; any number of beats may.
CHORES: Mapping[str, str] = {
    SWEEP: "sweep_interval",
    FOLD_MEASUREMENTS: "fold_interval",
    TICK: "tick_interval",
    DELIVER: "deliver_interval",
    TIDY: "tidy_interval",
    WATCH_DRIFT: "drift_interval",
}
# The order in which a worker looks at them: a rollback goes before the releases that wait.
QUEUE_NAMES: Sequence[Queue] = get_args(Queue)


# Seconds for which a connection to the broker waits for an answer: a half-open connection hangs a publish otherwise.
ANSWER_WITHIN = 15


def transport_options(limits: Limits) -> dict[str, Any]:
    """The options that kombu needs for Redis.

    Celery reads these from `broker_transport_options` alone (celery#9339), and the shortest visibility timeout of any
    consumer wins: whatever consumes from this broker, Flower included, should have the same.
    """
    return {
        "visibility_timeout": limits.visibility_timeout,
        "unacked_restore_interval": limits.restore_interval,
        "unacked_restore_throttle": 1,
        "unacked_mutex_expire": limits.restore_mutex,
        "socket_timeout": ANSWER_WITHIN,  # without these four, a half-open connection hangs a publish
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 15,
    }


# What a producer and a worker have in common, whatever the broker; `address.Broker` has the rest.
SHARED: Mapping[str, Any] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],  # never pickle
    "task_send_sent_event": True,  # Flower shows what is queued
    "broker_pool_acquire_timeout": 10,  # an empty pool blocks for ever otherwise
    "broker_connection_timeout": 5,
    "result_expires": 86_400,  # the ledger keeps history
    "result_backend_always_retry": True,
    "result_backend_max_retries": 10,  # without a bound it pins a worker's child
    "redis_socket_connect_timeout": 5,
    "redis_socket_timeout": 15,
}

# The priority of a request whose toolset has a crowd waiting already; 0, the default, is Redis's highest. So a flood on
# one toolset lets another toolset's first requests pass.
BEHIND_OTHERS = 6


def addresses(broker_url: str) -> dict[str, str]:
    """The broker for both directions.

    Upstream (Celery 5.7): a `CELERY_BROKER_URL` in the environment, which is meant for somebody else's Celery app, wins
    over an app's own `broker_url`, but not over the addresses for reading and writing.
    Remove when an app's own `broker_url` wins.
    """
    return {"broker_url": broker_url, "broker_read_url": broker_url, "broker_write_url": broker_url}


# A header that says: the request's row was written first. A message that finds no row then stands for nothing.
IN_LEDGER = "release_worker_in_ledger"
# A header with the id of the toolset whose mailbox the row lies in, so that the worker need not look.
TOOLSET = "release_worker_toolset"
# A header with the path of a toolset that the request names by its id, for people who look at the message.
TOOLSET_PATH = "release_worker_toolset_path"
# A header that says in whose trace a request was asked: W3C Trace Context, which OpenTelemetry reads and writes.
TRACEPARENT = "traceparent"


@dataclass(frozen=True, slots=True)
class Row:
    """What a message says of its request's row: in whose mailbox it lies, if that is said, whether others were
    waiting there already, and the toolset's path if the request names its id."""

    toolset_id: UUID | None = None
    behind_others: bool = False
    path: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        toolset = {TOOLSET: str(self.toolset_id)} if self.toolset_id is not None else {}
        path = {TOOLSET_PATH: self.path} if self.path is not None else {}
        return toolset | path


def envelope(
    kind: str, request_id: str, arguments: Mapping[str, Any], row: Row | None = None, traceparent: str | None = None
) -> dict[str, Any]:
    """The arguments of Celery's `send_task` for a request. Without a row, the worker writes it when the message
    arrives. A rollback is never put behind."""
    queue = KINDS[kind].queue
    behind = row is not None and row.behind_others and queue != "rollbacks"
    trace = {TRACEPARENT: traceparent} if traceparent else {}
    return {
        "name": TASKS[kind],
        "kwargs": {name: value for name, value in arguments.items() if value is not None},
        "task_id": request_id,
        "queue": queue,
        "headers": {IN_LEDGER: row is not None, **(row.headers if row else {}), **trace},
        **({"priority": BEHIND_OTHERS} if behind else {}),
    }


def event_message(task: str, queue: str, event: Mapping[str, Any], *, task_id: str) -> dict[str, Any]:
    """The arguments of Celery's `send_task` for an event, to a task of somebody else's.

    The queue is theirs, too: it is not among those that our app knows, and they declare it. The message goes to it by
    its name, which every broker understands.
    """
    return {
        "name": task,
        "kwargs": {"event": dict(event)},
        "task_id": task_id,
        "queue": KombuQueue(queue),
        "declare": [],
        "ignore_result": True,
    }
