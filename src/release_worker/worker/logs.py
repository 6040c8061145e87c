"""Logs: a constant event name and key-value pairs, to standard error; JSON unless a person is reading."""

import logging
import sys
from collections.abc import Mapping

import click
import structlog
from celery import beat
from celery.worker import strategy
from celery.worker.consumer import consumer
from click.core import ParameterSource

from release_worker.broker.routing import CHORES
from release_worker.domain.text import printable


def configure_logs(level: int | str | None = None) -> None:
    """Send our lines and those of the libraries through one handler. The level is INFO unless somebody asked for
    another."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.types.Processor = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        shared.pop()
        renderer = console()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level if level and _asked_for() else logging.INFO)
    # It logs each result, with the values that a rollback changed. The executor logs how requests end.
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    logging.getLogger(consumer.__name__).addFilter(_without_bodies)
    # Readiness looks at the schema again and again.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if root.getEffectiveLevel() > logging.DEBUG:
        for module in (beat, strategy):
            logging.getLogger(module.__name__).addFilter(_no_coming_of_chores)


def _no_coming_of_chores(record: logging.LogRecord) -> bool:
    """Celery logs that a task is sent, and that it is received. Of chores that would be several lines a second, and
    hide all others; what a chore did, it says itself."""
    if record.levelno > logging.INFO:
        return True
    about = record.args.values() if isinstance(record.args, Mapping) else record.args or ()
    return not any(isinstance(one, str) and one in CHORES for one in about)


def console() -> structlog.types.Processor:
    """Tracebacks are plain: structlog's own show the values of variables, and with them passwords and payloads."""
    return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)


def _without_bodies(record: logging.LogRecord) -> bool:
    """Of a message that it drops, Celery logs body and headers, and with them all arguments of somebody's request."""
    reason = _DROPPED.get(str(record.msg))
    if reason is not None:
        first = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        about = f": {printable(str(first), 200)}" if isinstance(first, Exception) else ""
        record.msg, record.args, record.exc_info = f"message dropped, {reason}{about}", (), None
    return True


_DROPPED = {
    consumer.UNKNOWN_TASK_ERROR: "this worker knows no such task",
    consumer.UNKNOWN_FORMAT: "it is no task",
    consumer.INVALID_TASK_ERROR: "it is no valid task",
    consumer.MESSAGE_DECODE_ERROR: "it cannot be decoded",
}


def _asked_for() -> bool:
    """Whether the level is no default of Celery's command line, which is WARNING: failed requests would be all that a
    worker says."""
    context = click.get_current_context(silent=True)
    return context is None or context.get_parameter_source("loglevel") is not ParameterSource.DEFAULT
