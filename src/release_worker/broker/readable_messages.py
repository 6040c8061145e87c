"""Celery's maker of messages, as both ends use it: what it says of a message can be read by people."""

from collections.abc import Mapping
from typing import Any

from celery.app.amqp import AMQP

from release_worker.broker.readable import arguments_line
from release_worker.broker.routing import CHORES, TASKS, TOOLSET_PATH

_REQUESTS = frozenset(TASKS.values())


class ReadableAMQP(AMQP):
    """Says of a request what is asked, also when it is sent again, and tells nobody that a chore was sent: Flower's
    list would show little else."""

    def as_task_v2(
        self, task_id: str, name: str, args: Any = None, kwargs: Any = None, *positional: Any, **options: Any
    ) -> Any:
        """Overrides Celery's step from a call to a message."""
        if name in _REQUESTS:
            options = {**options, **shown(name, args or (), kwargs or {}, options.get("headers"))}
        message = super().as_task_v2(task_id, name, args, kwargs, *positional, **options)
        return message._replace(sent_event=None) if name in CHORES else message


def shown(task: str, positional: object, keywords: object, headers: object) -> dict[str, str]:
    """What Celery calls `argsrepr` and `kwargsrepr`: all arguments by name in the second. Never raises."""
    path = headers.get(TOOLSET_PATH) if isinstance(headers, Mapping) else None
    return {"argsrepr": "()", "kwargsrepr": arguments_line(task, positional, keywords, path)}
