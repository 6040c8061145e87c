"""Publishing requests: what the client and the sweeper share."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from amqp.exceptions import AMQPError
from celery import Celery
from kombu.exceptions import OperationalError

from release_worker.broker.address import Broker
from release_worker.broker.routing import Row, envelope
from release_worker.errors import BrokerUnavailable

if TYPE_CHECKING:
    from release_worker.domain.request_record import RequestRecord
    from release_worker.domain.schedules.made import ScheduledRequest

# Publishing tries for some seconds and then says that it could not, rather than hang in a caller's request.
PUBLISH_RETRIES = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}

# RuntimeError: the result backend is away. AttributeError: see `_send`. AMQPError: RabbitMQ refuses, such as a user's
# rights, or a queue that somebody has declared in another way.
_AWAY = (OperationalError, OSError, RuntimeError, AttributeError, AMQPError)


def publish(app: Celery, message: Mapping[str, Any], *, kept: bool) -> None:
    """Send a message, the arguments of Celery's `send_task`. `kept`: its request is in the ledger.

    Raises BrokerUnavailable, with `request_id` if the request is kept.
    """
    try:
        _send(app, _as_this_broker_orders(app, message))
    except _AWAY as error:
        reason = " ".join(str(error).split())
        raise BrokerUnavailable(
            f"the broker cannot be reached: {reason}"
            + ("; the request is kept and will be done: do not ask again" if kept else ""),
            reason=reason,
            request_id=message["task_id"] if kept else None,
        ) from error


def message_of(record: "RequestRecord", *, behind_others: bool = False, path: str | None = None) -> dict[str, Any]:
    """The message of a request that was just written into the ledger; `path` is that of a toolset named by its id."""
    return envelope(
        record.kind, record.id, record.arguments, Row(record.toolset_id, behind_others, path), record.traceparent
    )


def message_of_scheduled(made: "ScheduledRequest") -> dict[str, Any]:
    """The message of a request that a schedule has just made."""
    row = Row(made.toolset_id, made.behind_others)
    return envelope(made.request.kind, made.id, made.request.arguments(), row)


def publisher_again(app: Celery) -> "Callable[[RequestRecord], None]":
    """What publishes the requests of one sweep, the oldest first, whose first messages may be lost. Of a toolset, all
    but the first go behind others: what waits for long is most often a flood, and lets other toolsets pass again.

    Raises BrokerUnavailable.
    """
    met: set[UUID | None] = set()

    def publish_again(record: "RequestRecord") -> None:
        publish(app, message_again(record, behind_others=record.toolset_id in met), kept=True)
        met.add(record.toolset_id)

    return publish_again


def message_again(record: "RequestRecord", *, behind_others: bool = False) -> dict[str, Any]:
    """The message of a request whose first message may be lost. A worker looks at the row before it claims."""
    return envelope(record.kind, record.id, record.arguments, Row(behind_others=behind_others), record.traceparent)


def _as_this_broker_orders(app: Celery, message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without a priority on RabbitMQ: its quorum queues have none before 4.0, and count the other way round since."""
    if not Broker.used_by(app).is_rabbitmq:
        return message
    return {name: value for name, value in message.items() if name != "priority"}


def _send(app: Celery, message: Mapping[str, Any]) -> None:
    """Publish, and once more after an AttributeError.

    Upstream (kombu 5.7): if the connection breaks while the queue is declared, kombu makes a new connection, and then
    publishes on the channel of the old one: an AttributeError. The next try has the new one.
    Remove when `Producer.publish` takes the new channel after such a repair.
    """
    try:
        app.send_task(**message, retry=True, retry_policy=PUBLISH_RETRIES)
    except AttributeError:
        app.send_task(**message, retry=True, retry_policy=PUBLISH_RETRIES)
