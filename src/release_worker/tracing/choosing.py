"""Whether there is OpenTelemetry. It is imported here, and only if it is used."""

import sys
from functools import cache

from release_worker.tracing.tracing import NoTracing, Tracing


def tracing_of_worker() -> Tracing:
    """The tracing that the environment asks for (`OTEL_…`). Call it after the fork: it starts a thread that exports."""
    from release_worker.tracing.variables import OpenTelemetryVariables

    exporter = OpenTelemetryVariables().exporter
    if exporter is None:
        return NoTracing()
    try:
        from release_worker.tracing.exporting import exporting_provider
        from release_worker.tracing.spans import Spans

        return Spans(exporting_provider(exporter))
    except (ImportError, LookupError) as error:  # a worker works without it, too
        import structlog  # callers import this module, and need no log

        logger = structlog.get_logger(__name__)
        logger.warning("traces_not_exported", exporter=exporter, reason=str(error), hint="release-worker[otel]")
        return NoTracing()


def tracing_of_caller() -> Tracing:
    """That of the caller's program, if it has set a provider by now. Where its spans go is its own matter."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None or isinstance(api.get_tracer_provider(), api.ProxyTracerProvider):
        return NoTracing()
    return _callers_spans()


@cache
def _callers_spans() -> Tracing:
    from release_worker.tracing.spans import Spans

    return Spans()
