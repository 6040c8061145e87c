"""A worker's consumer for RabbitMQ, whose messages do not pass our own transport: what arrives on a queue may be
anything, and the worker lives.

Upstream (Celery 5.7): a message without what Celery takes for granted raises in the loop of the worker that took it,
and ends it; RabbitMQ then gives it to the next. Here it is dropped, with a line in the log.
Remove when Celery rejects what its protocol does not allow.
"""

from collections.abc import Callable
from typing import Any

import structlog

from release_worker.broker.careful_transport import Headers
from release_worker.broker.signing_consumer import SigningConsumer

logger = structlog.get_logger(__name__)


class CarefulConsumer(SigningConsumer):
    """Drops a message that raises an error; a lost connection is none of those."""

    def create_task_handler(self, *positional: Any, **keywords: Any) -> Callable[[Any], None]:
        """Overrides Celery's step from a message to a task."""
        handle = super().create_task_handler(*positional, **keywords)
        connection_errors = (*self.connection.connection_errors, *self.connection.channel_errors)

        def handle_or_drop(message: Any) -> None:
            try:
                Headers.model_validate(message.headers)
                handle(message)
            except connection_errors:
                raise
            except Exception as error:
                logger.exception("message_dropped", error=type(error).__name__)
                if not message.acknowledged:
                    message.reject()

        return handle_or_drop

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Overrides Celery's, which logs what the message holds."""
        logger.error("message_dropped", error=type(exc).__name__)
        message.ack()
