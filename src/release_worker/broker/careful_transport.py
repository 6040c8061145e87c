"""kombu's Redis transport as a worker uses it: what arrives on a queue may be anything, and the worker lives.

Upstream (kombu 5.7, Celery 5.7): bytes on a queue that are no message, and messages without what Celery takes for
granted, raise in the loop of the worker that took them, and end it; the next worker takes the next. Here
they are dropped, with a line in the log.
Remove when kombu rejects what it cannot decode, and Celery what its protocol does not allow, by themselves.
"""

from queue import Empty
from typing import Annotated, Any, ClassVar

import structlog
from kombu.transport import redis
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from release_worker.broker.readable_messages import ReadableAMQP
from release_worker.broker.routing import QUEUE_NAMES
from release_worker.broker.sharing_transport import SharingChannel, SharingConnection, SharingTransport

logger = structlog.get_logger(__name__)

_Address = Annotated[str, StringConstraints(max_length=255)]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]
_Seconds = Annotated[float, Field(ge=0, le=86_400)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)


class Headers(_Strict):
    """The headers that a worker reads before the task's own code runs, in Celery's message protocol 2.
    https://docs.celeryq.dev/en/stable/internals/protocol.html"""

    task: str
    id: _Id
    retries: Annotated[int, Field(ge=0)] | None = None
    timelimit: Annotated[list[_Seconds | None], Field(min_length=2, max_length=2)] | None = None
    eta: str | None = None
    expires: str | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    shadow: str | None = None
    argsrepr: str | None = None
    kwargsrepr: str | None = None
    ignore_result: bool | None = None


class _DeliveryInfo(_Strict):
    exchange: _Address
    routing_key: _Address


class _Properties(_Strict):
    delivery_tag: _Id
    delivery_info: _DeliveryInfo
    body_encoding: Annotated[str, StringConstraints(pattern="^base64$")] | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    priority: int | None = None


class _Message(_Strict):
    body: str
    headers: Headers
    properties: _Properties


class CarefulChannel(SharingChannel):
    """A channel that drops a message that raises an error; only a lost connection is reported to the worker."""

    def _brpop_read(self, **options: Any) -> Any:
        """Overrides kombu's step from bytes to a delivered message."""
        held = set(self.qos._delivered)
        try:
            return super()._brpop_read(**options)
        except (Empty, *_ERRORS_OF_THE_CONNECTION):
            raise
        except Exception as error:
            logger.exception("message_dropped", error=type(error).__name__)
            for tag in set(self.qos._delivered) - held:
                self.basic_reject(tag, requeue=False)
            return True


class CarefulTransport(SharingTransport):
    """Our transport with a channel that survives its messages."""

    Channel = CarefulChannel

    def _deliver(self, message: Any, queue: str) -> None:
        """Overrides kombu's dispatch. Raises ValidationError if a worker could trip over the message."""
        if queue in QUEUE_NAMES:
            _Message.model_validate(message)
        super()._deliver(message, queue)


# kombu counts KeyError among these, for a race of its own elsewhere. redis-py raises DataError for a value that it
# cannot send; here, such a value can only come from the message.
_ERRORS_OF_THE_CONNECTION = tuple(
    error
    for error in (*redis.Transport.connection_errors, *redis.Transport.channel_errors)
    if error is not KeyError and error.__name__ != "DataError"
)


class CarefulSentinelChannel(CarefulChannel, redis.SentinelChannel):
    """The same behind Sentinel."""


class CarefulSentinelTransport(CarefulTransport, redis.SentinelTransport):
    """The same behind Sentinel."""

    Channel = CarefulSentinelChannel


class CarefulConnection(SharingConnection):
    """A connection with the careful transport."""

    ours: ClassVar = {redis.Transport: CarefulTransport, redis.SentinelTransport: CarefulSentinelTransport}


class CarefulAMQP(ReadableAMQP):
    """Celery's maker of connections and messages."""

    Connection = CarefulConnection
