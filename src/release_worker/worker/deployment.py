"""The Celery settings of a deployment: a module `celeryconfig`, on the path or in the directory that the program starts
in."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from celery.utils.imports import cwd_in_path
from kombu import Queue

MODULE = "celeryconfig"
# A deployment adds to these, entry by entry: without ours, requests would be lost or lie in a queue that nobody reads.
_ADDED_TO = ("beat_schedule", "broker_transport_options")


def on_top_of(ours: Mapping[str, Any]) -> dict[str, Any]:
    """Our settings with the deployment's on top. Beat's entries, routes, queues and transport options are added to
    ours; of one name, the deployment's count. A setting that is None counts as not there. Raises what the module
    raises."""
    theirs = _settings_of_deployment()
    merged: dict[str, Any] = {name: {**ours[name], **theirs[name]} for name in _ADDED_TO if name in theirs}
    if "task_routes" in theirs:
        merged["task_routes"] = [*_routers(theirs["task_routes"]), ours["task_routes"]]
    if "task_queues" in theirs:
        queues = _queues(theirs["task_queues"])
        names = {queue.name for queue in queues}
        merged["task_queues"] = [*(queue for queue in ours["task_queues"] if queue.name not in names), *queues]
    return {**ours, **theirs, **merged}


def _queues(queues: Any) -> list[Queue]:
    """Queues as Celery takes them: a list of them, or options by name."""
    if isinstance(queues, Mapping):
        return [queue if isinstance(queue, Queue) else Queue(name, **queue) for name, queue in queues.items()]
    return list(queues)


def _routers(routes: Any) -> list[Any]:
    """One router or several, as Celery takes them."""
    return list(routes) if isinstance(routes, (list, tuple)) else [routes]


def _settings_of_deployment() -> dict[str, Any]:
    # The console script `celery` has the working directory on the path only while it looks for the app.
    with cwd_in_path():
        if find_spec(MODULE) is None:
            return {}
        module = import_module(MODULE)
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and not (value is None and name in (*_ADDED_TO, "task_routes", "task_queues"))
    }
