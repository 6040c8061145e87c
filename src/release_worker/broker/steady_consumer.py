"""A worker that outlives its broker's restart, also in the middle of a task."""

from functools import wraps
from typing import Any

from celery.worker.consumer import Consumer


class SteadyConsumer(Consumer):
    """Celery's consumer of messages, with a repair of its repair after a lost connection.

    Upstream (Celery 5.7, kombu 5.7): if the connection to the broker is lost, Celery collects it, which makes its
    transport forget its address, and then closes it. Closing a channel of Redis gives back what is not acknowledged
    yet, and for that kombu needs the address: an AttributeError ends the worker, whenever a task was running. A task
    that ends later is acknowledged in the same way. So the transport gets its address back.
    Remove when a worker whose task runs outlives a restart of Redis without it: `tests/faults/test_broker_restart.py`.
    """

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of the lost connection, so that a new one can be made."""
        connection = self.connection
        transport = connection.transport
        collect = connection.collect

        @wraps(collect)
        def collect_and_remember(*positional: Any, **keywords: Any) -> None:
            try:
                collect(*positional, **keywords)
            finally:
                transport.client = connection

        connection.collect = collect_and_remember
        super().on_connection_error_after_connected(exc)
