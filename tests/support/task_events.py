"""What Celery's events tell of tasks: all that Flower knows."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from celery import Celery
from celery.events import EventReceiver
from celery.events.state import State, Task

from tests.support.workers import LONG, Service


class Watched:
    """The events that have come, put together as Flower does."""

    def __init__(self) -> None:
        self._state = State()
        self.seen: list[tuple[str, str]] = []
        self.states: dict[str, list[str]] = {}

    def take(self, event: dict[str, str]) -> None:
        self._state.event(event)
        if event["type"].startswith("task-"):
            self.seen.append((event["type"], self._state.tasks[event["uuid"]].name))
            self.states.setdefault(event["uuid"], []).append(self._state.tasks[event["uuid"]].state)

    def knows_a_worker(self) -> bool:
        return bool(self._state.workers)

    def task(self, request_id: str, state: str) -> Task:
        """The task, as soon as it is in this state."""
        eventually(lambda: state in self.states.get(request_id, ()), f"{request_id} is {state}")
        return self._state.tasks[request_id]


@contextmanager
def watching(served: Service) -> Iterator[Watched]:
    """The events of the service's broker, from now on. A worker must be running."""
    watched = Watched()
    stopping = threading.Event()
    with served.stranger() as app:
        thread = threading.Thread(target=_receive, args=(app, watched, stopping), name="events")
        thread.start()
        try:
            eventually(watched.knows_a_worker, "a worker is heard")
            yield watched
        finally:
            stopping.set()
            thread.join()


def _receive(app: Celery, watched: Watched, stopping: threading.Event) -> None:
    with app.connection() as connection:
        receiver = EventReceiver(connection, handlers={"*": watched.take}, app=app)
        with receiver.consumer_context(wakeup=True) as (consuming, _, _):
            while not stopping.is_set():
                with suppress(TimeoutError):
                    consuming.drain_events(timeout=0.2)


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)
