"""Where a worker's spans go: what OpenTelemetry's own variables say, by the exporters that are installed."""

from importlib.metadata import entry_points

from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SERVICE = "release-worker"
_EXPORTERS = "opentelemetry_traces_exporter"


def exporting_provider(exporter: str) -> TracerProvider | None:
    """The provider of this process, which sends spans by the exporter of this name; None if somebody else has set one,
    and exports. Raises LookupError if there is no such exporter."""
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    found = next(iter(entry_points(group=_EXPORTERS, name=exporter)), None)
    if found is None:
        raise LookupError(f"no exporter {exporter} is installed")
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(found.load()()))
    trace.set_tracer_provider(provider)
    return provider


def _resource() -> Resource:
    """Who sends. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` win."""
    named = "service.name" in OTELResourceDetector().detect().attributes
    return Resource.create({} if named else {"service.name": SERVICE})
