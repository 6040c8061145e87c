"""A worker that says every few seconds how it is, and tells the events of its tasks together."""

import atexit
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from release_worker.broker.signs import SignFile
from release_worker.broker.steady_consumer import SteadyConsumer
from release_worker.domain.limits import DEFAULTS
from release_worker.settings import read_settings, watchdog_socket


class SigningConsumer(SteadyConsumer):
    """Our consumer of messages, with signs of life.

    While it consumes, they come from a timer of the loop that takes messages: a loop that hangs gives none. While it
    waits for its broker, they come from the retries, so that a probe can tell a broker's failure from a worker's.
    """

    def __init__(self, *positional: Any, **keywords: Any) -> None:
        super().__init__(*positional, **keywords)
        self._sign = SignFile(read_settings().signs_directory, "worker", self.hostname, watchdog=watchdog_socket())
        self._again: Any = None
        self._events_wait = False
        atexit.register(self._sign.remove)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, with a sign at each second of the wait."""
        ensure = conn.ensure_connection

        def ensure_and_sign(errback: Callable[..., None], max_retries: int | None, callback: Callable[[], None]) -> Any:
            def sign() -> None:
                self._sign.write("waiting")
                callback()

            return ensure(errback, max_retries, callback=sign)

        conn.ensure_connection = ensure_and_sign
        return super().ensure_connected(conn)

    def on_ready(self) -> None:
        """Called when it has begun to consume, at the start and after each lost connection."""
        super().on_ready()
        self._say_what_is_consumed()
        self._again = self.timer.call_repeatedly(DEFAULTS.sign_interval, self._say_what_is_consumed)

    def on_close(self) -> None:
        """Called when it has ceased to consume: the connection is lost, or it is told to end."""
        if self._again is not None:
            self._again.cancel()
        with suppress(*self.connection_errors):
            self._flush_events()
        self._sign.write("waiting")
        super().on_close()

    def on_send_event_buffered(self) -> None:
        """Called when an event waits to be sent. Celery sends it with the next turn of its loop, so one by one; here
        those of a moment go together."""
        if self.hub is None or self._events_wait:
            return
        self._events_wait = True
        self.hub.call_later(DEFAULTS.events_wait, self._send_waiting_events)

    def _send_waiting_events(self) -> None:
        self._events_wait = False
        self._flush_events()

    def _say_what_is_consumed(self) -> None:
        queues = sorted(queue.name for queue in self.task_consumer.queues)
        self._sign.write("consuming" if queues else "waiting", queues)
