"""Where the broker is, of which kind, and the settings of Celery that depend on it.

Redis and Valkey are asked for messages; RabbitMQ hands them out. So they differ in how long a message may be out, in
the order in which a worker sees its queues, and in who keeps a message whose time has not come.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from kombu import Exchange, Queue

from release_worker.broker.routing import ANSWER_WITHIN, QUEUE_NAMES, addresses, transport_options
from release_worker.domain.limits import Limits
from release_worker.domain.server_urls import Sentinel

if TYPE_CHECKING:
    from celery import Celery

    from release_worker.settings import Settings

# On RabbitMQ, our queues have one exchange of our own. It is of the type `topic`: only for such ones does Celery let
# RabbitMQ delay a message. Callers that know only a queue's name make a direct exchange of that name beside it.
_EXCHANGE = "release_worker"
_QUORUM = {"x-queue-type": "quorum"}


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's address."""

    url: str = field(repr=False)
    sentinel: Sentinel | None = None

    @classmethod
    def of(cls, settings: "Settings") -> Self:
        """Raises NotConfigured if it is not set."""
        return cls(settings.require("broker_url"), settings.sentinel)

    @classmethod
    def used_by(cls, app: "Celery") -> Self:
        """The one that an app of ours publishes to."""
        return cls(app.conf.broker_write_url or "")

    @property
    def is_rabbitmq(self) -> bool:
        return re.match(r"(py)?amqps?://", self.url) is not None

    @property
    def is_redis(self) -> bool:
        """Redis or Valkey, by itself or behind Sentinel."""
        return re.match(r"(rediss?|redis\+socket|sentinel)://", self.url) is not None

    def settings(self, limits: Limits, extra_queues: Sequence[str] = ()) -> dict[str, Any]:
        """The settings of Celery that producers and workers must have in common. The extra queues are declared as
        Celery declares a queue that is known by its name alone."""
        return {
            **addresses(self.url),
            "broker_transport_options": self._transport_options(limits),
            "task_queues": [*self._queues(), *map(_plain_queue, extra_queues)],
        }

    def _transport_options(self, limits: Limits) -> dict[str, Any]:
        """Celery reads these from `broker_transport_options` alone (celery#9339)."""
        if self.is_rabbitmq:
            return {
                "confirm_publish": True,  # a publish has arrived when it returns, or raises
                "read_timeout": ANSWER_WITHIN,
                "write_timeout": ANSWER_WITHIN,
            }
        if not self.is_redis:
            return {}
        return {**transport_options(limits), **sentinel_options(self.sentinel)}

    def _queues(self) -> Sequence[Queue]:
        if not self.is_rabbitmq:
            return [_plain_queue(name) for name in QUEUE_NAMES]
        exchange = Exchange(_EXCHANGE, type="topic")
        return [Queue(name, exchange, routing_key=name, queue_arguments=_QUORUM) for name in QUEUE_NAMES]


def _plain_queue(name: str) -> Queue:
    return Queue(name, Exchange(name), routing_key=name)


def countdown(app: "Celery", seconds: float) -> float:
    """For how long the app's broker can keep a message that is due in so many seconds.

    Upstream (Celery 5.7): RabbitMQ keeps a message for whole seconds, and Celery cannot publish one for less than one.
    Remove when Celery rounds it up.
    """
    return max(1, math.ceil(seconds)) if Broker.used_by(app).is_rabbitmq else seconds


def sentinel_options(sentinel: Sentinel | None) -> dict[str, Any]:
    """What kombu's transport and Celery's result backend need behind Sentinel; nothing without it."""
    return {} if sentinel is None else {"master_name": sentinel.master, "sentinel_kwargs": sentinel.connection}
