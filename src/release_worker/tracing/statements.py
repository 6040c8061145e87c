"""A span for each SQL statement: its text, which has no values in it, and never its parameters or what a server says of
them. (OpenTelemetry's own instrumentation of SQLAlchemy tells the text of errors, and PostgreSQL quotes values there.)
"""

import re
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from sqlalchemy import Engine, ExceptionContext, event

LONGEST_TEXT = 4000
_SPAN = "_release_worker_span"
_SCHEMA = r'(?:(?:"[^"]+"|\w+)\.)?'
# A table that is written, or a function of ours that writes. Not the UPDATE of a clause that locks rows.
_WHAT = re.compile(
    rf"(\bINSERT INTO|\b(?<!FOR )(?<!NO KEY )UPDATE|\bDELETE FROM|^SELECT(?= {_SCHEMA}release_worker_)) {_SCHEMA}(\w+)",
    re.IGNORECASE,
)


def watch_statements(engine: Engine, tracer: Tracer) -> None:
    """From now on. A statement outside of a span that is recorded has none, and costs a look."""
    database = engine.url.database or ""

    def before(
        _connection: Any, _cursor: Any, statement: str, _parameters: Any, context: Any, _executemany: bool
    ) -> None:
        if not trace.get_current_span().is_recording():
            return
        attributes = {
            "db.system.name": "postgresql",
            "db.namespace": database,
            "db.query.text": " ".join(statement.split())[:LONGEST_TEXT],
        }
        setattr(context, _SPAN, tracer.start_span(summary(statement), kind=SpanKind.CLIENT, attributes=attributes))

    def after(
        _connection: Any, _cursor: Any, _statement: str, _parameters: Any, context: Any, _executemany: bool
    ) -> None:
        span = getattr(context, _SPAN, None)
        if span is not None:
            span.end()

    def failed(failure: ExceptionContext) -> None:
        span = getattr(failure.execution_context, _SPAN, None)
        if span is not None:
            error = failure.original_exception
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__name__)
            span.set_attribute("db.response.status_code", getattr(error, "sqlstate", None) or "")
            span.end()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "handle_error", failed)


def summary(statement: str) -> str:
    """What a statement does, in a few words of its own, without the schema: `INSERT INTO toolset_releases`,
    `SELECT release_worker_accept`, `SELECT`."""
    words = statement.split()
    changes = _WHAT.search(" ".join(words))
    return " ".join(changes.groups()) if changes else words[0] if words else "statement"
