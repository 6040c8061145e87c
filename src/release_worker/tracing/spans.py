"""OpenTelemetry's spans."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from release_worker.broker.routing import TRACEPARENT
from release_worker.tracing.tracing import Role, traceparent_in

if TYPE_CHECKING:
    from sqlalchemy import Engine

FLUSH_SECONDS = 5
_KINDS: Mapping[Role, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_PROPAGATOR = TraceContextTextMapPropagator()


class Exporting(Protocol):
    """What the SDK's provider can do besides: send what waits."""

    def force_flush(self, timeout_millis: int = ...) -> bool: ...


class Spans:
    """Tracing by OpenTelemetry's API, with the provider of this process, which is `exporting` if it is ours."""

    def __init__(self, exporting: Exporting | None = None) -> None:
        self._exporting = exporting
        self._tracer = trace.get_tracer("release_worker")

    @contextmanager
    def span(
        self, name: str, *, role: Role = "internal", parent: str | None = None, **attributes: str | int
    ) -> Iterator[None]:
        """If `parent` is of another trace than the span around, the span is in the parent's, and has a link to the one
        around. An error is told by its class: its text may have values in it."""
        around = trace.get_current_span().get_span_context()
        context, links = None, []
        if parent is not None:
            given = _PROPAGATOR.extract({TRACEPARENT: parent})
            asked = trace.get_current_span(given).get_span_context()
            if asked.is_valid and asked.trace_id != around.trace_id:
                context = given
                links = [Link(around)] if around.is_valid else []
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=_KINDS[role],
            attributes=_named(attributes),
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise

    def note(self, **attributes: str | int) -> None:
        """Say more of the span that is open. With `error`, the class of one, what it is about has failed."""
        span = trace.get_current_span()
        span.set_attributes(_named(attributes))
        if "error" in attributes:
            span.set_status(StatusCode.ERROR)

    def traceparent(self) -> str | None:
        """The open span; None if there is none."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return traceparent_in(carrier.get(TRACEPARENT))

    def watch(self, engine: "Engine") -> None:
        """Make a span of each statement inside a span."""
        from release_worker.tracing.statements import watch_statements  # a caller may be without SQLAlchemy

        watch_statements(engine, self._tracer)

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        if self._exporting is not None:
            self._exporting.force_flush(FLUSH_SECONDS * 1000)


def _named(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"release_worker.{name}": value for name, value in attributes.items()}
