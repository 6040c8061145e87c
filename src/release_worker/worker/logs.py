"""Logs: a constant event name and key-value pairs, to standard error; JSON unless a person is reading."""

import logging
import sys

import click
import structlog
from click.core import ParameterSource


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
        renderer = structlog.dev.ConsoleRenderer()
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


def _asked_for() -> bool:
    """Whether the level is no default of Celery's command line, which is WARNING: failed requests would be all that a
    worker says."""
    context = click.get_current_context(silent=True)
    return context is None or context.get_parameter_source("loglevel") is not ParameterSource.DEFAULT
