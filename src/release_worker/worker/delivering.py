"""How the worker's deliverer reaches those who are told: over HTTP, or through the broker."""

from functools import partial
from typing import Any
from uuid import uuid5

from celery import Celery

from release_worker.broker.publishing import publish
from release_worker.broker.routing import event_message
from release_worker.domain import canonical_json
from release_worker.domain.deliveries import Message, Receiver, Send, Undelivered
from release_worker.domain.text import printable
from release_worker.errors import BrokerUnavailable
from release_worker.worker.webhooks import WebhookPoster


def sender(app: Celery, poster: WebhookPoster) -> Send:
    """Sends a message by the way that its receiver has."""
    return partial(_send, app, poster)


def _send(app: Celery, poster: WebhookPoster, receiver: Receiver, message: Message) -> Undelivered | None:
    return poster.post(receiver, message) if receiver.task is None else _publish(app, receiver, message)


def _publish(app: Celery, receiver: Receiver, message: Message) -> Undelivered | None:
    """The task has the same id at each attempt."""
    assert receiver.task is not None, "it is a task's"
    assert receiver.queue is not None, "it has a queue"
    task_id = str(uuid5(receiver.subscription_id, str(message.id)))
    event: dict[str, Any] = canonical_json.as_plain(message.as_json())
    try:
        publish(app, event_message(receiver.task, receiver.queue, event, task_id=task_id), kept=False)
    except BrokerUnavailable as error:
        return Undelivered(printable(str(error), 300))
    return None
