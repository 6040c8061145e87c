"""An app that traces itself and asks for a release: `python -m tests.support.traced_caller TOOLSET SECRET`. Prints
the id of its trace."""

import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from release_worker import ReleaseClient


def main() -> None:
    toolset, secret = sys.argv[1:]
    provider = TracerProvider(resource=Resource.create({"service.name": "an-app"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    with (
        trace.get_tracer("an app").start_as_current_span("deploy") as span,
        ReleaseClient.from_env() as client,
    ):
        asked = client.create_release(toolset, actor="ci", notes=secret, labels={"api_token": secret})
        print(f"{span.get_span_context().trace_id:032x}")
    provider.shutdown()
    asked.result(timeout=60)


if __name__ == "__main__":
    main()
