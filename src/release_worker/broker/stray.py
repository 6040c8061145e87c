"""Messages of ours in a queue that no worker of ours reads: their sender named no queue, so they lie in Celery's
default one."""

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from kombu import Connection, Queue

from release_worker.broker.address import Broker
from release_worker.broker.facts import connected
from release_worker.broker.routing import CHORES, TASKS
from release_worker.domain.limits import Limits

# Where a message goes that names no queue, unless its sender has set `task_default_queue`.
DEFAULT_QUEUE = "celery"
LOOK = 200  # messages at each end of the queue
_OURS = frozenset(TASKS.values()) | frozenset(CHORES)


def stray_messages(
    broker: Broker, limits: Limits, *, read: Collection[str], queue: str = DEFAULT_QUEUE
) -> Mapping[str, int]:
    """How many messages of each task of ours wait in the queue, among the first and the last `LOOK` of it; nothing if
    it is one of those that our workers read.

    RabbitMQ shows a message only by handing it out: there, a queue that somebody consumes is left alone, and what was
    looked at goes back to its place. Raises BrokerUnavailable.
    """
    if queue in read:
        return {}
    with connected(broker, limits) as connection:
        found: list[str] = []
        if broker.is_redis:
            found = list(_in_redis(connection.default_channel, queue))
        elif broker.is_rabbitmq:
            found = _in_rabbitmq(connection, queue)
        return Counter(task for task in found if task in _OURS)


def _in_redis(channel: Any, queue: str) -> Iterator[str]:
    for step in channel.priority_steps:
        key = channel._q_for_pri(queue, step)
        length = channel.client.llen(key)
        spans = [(0, length)] if length <= 2 * LOOK else [(0, LOOK - 1), (-LOOK, -1)]
        for first, last in spans:
            for raw in channel.client.lrange(key, first, last):
                with suppress(ValueError, TypeError, KeyError, AttributeError):
                    yield str(json.loads(raw)["headers"].get("task"))


def _in_rabbitmq(connection: Connection, queue: str) -> list[str]:
    with suppress(*connection.channel_errors):
        declared = connection.default_channel.queue_declare(queue, passive=True)
        if declared.consumer_count or not declared.message_count:
            return []
        # What is not acknowledged goes back when the channel is closed.
        with connection.channel() as channel:
            taken = (Queue(queue)(channel).get() for _ in range(min(LOOK, declared.message_count)))
            return [str(message.headers.get("task")) for message in taken if message is not None]
    return []
