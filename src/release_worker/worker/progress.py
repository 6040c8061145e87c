"""Which step a long operation is at, for who watches: a state of its own in Flower, beside STARTED.

Celery's events may have any name: what comes after `task-`, in capitals, is shown as the state of the task, until the
event of its end. The result backend hears nothing of it: what is stored there late could hide how the task ended.
"""

from collections.abc import Callable, Mapping

from celery import Celery

from release_worker.domain.timings import Timings

# By step. A step that is not here has its own name.
STATES: Mapping[str, str] = {
    "hold": "holding",
    "plan": "planning",
    "capture": "capturing",
    "restore": "restoring",
    "read_back": "verifying",
    "settle": "settling",
}

# Tells the state of the request of this id.
TellState = Callable[[str, str], None]


class Progress:
    """Tells each step once, when asked: a heartbeat asks, so that an operation that is done before waits for nobody."""

    def __init__(self, request_id: str, timings: Timings, tell: TellState) -> None:
        self._request_id = request_id
        self._timings = timings
        self._tell = tell
        self._told: str | None = None

    def __call__(self) -> None:
        """Tell the step, unless it has been told."""
        step = self._timings.step_now
        if step is not None and step != self._told:
            self._told = step
            self._tell(self._request_id, STATES.get(step, step))


def tell_by_events(app: Celery) -> TellState:
    """As events of the worker whose task this is, if it sends any. They may be lost, as all events of Celery."""
    task = app.current_worker_task
    node = None if task is None else task.request.hostname

    def tell(request_id: str, state: str) -> None:
        if app.conf.worker_send_task_events:
            with app.events.default_dispatcher(hostname=node) as dispatcher:
                dispatcher.send(f"task-{state}", uuid=request_id, retry=False)

    return tell


def tell_nobody(_request_id: str, _state: str) -> None:
    """For who is not watched."""
