"""An OTLP collector: takes spans over HTTP, and keeps them for a test to look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.task_events import eventually


@dataclass(frozen=True)
class Span:
    """A span that has ended."""

    name: str
    trace_id: str
    id: str
    parent: str
    service: str
    failed: bool
    links: tuple[str, ...]
    attributes: dict[str, str | int]


@dataclass
class Collector:
    """The spans that have come, and all bytes."""

    url: str
    spans: list[Span] = field(default_factory=list)
    received: bytes = b""

    def take(self, body: bytes) -> None:
        self.received += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name")
            for scope in resource.scope_spans:
                for one in scope.spans:
                    attributes = {each.key: each.value.string_value or each.value.int_value for each in one.attributes}
                    links = tuple(link.trace_id.hex() for link in one.links)
                    failed = one.status.code == Status.STATUS_CODE_ERROR
                    ids = (one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex())
                    self.spans.append(Span(one.name, *ids, service, failed, links, attributes))

    def span(self, name: str, **attributes: str | int) -> Span:
        """The span of this name with these attributes of ours, as soon as it has come."""

        def found() -> list[Span]:
            ours = {f"release_worker.{key}": value for key, value in attributes.items()}
            return [one for one in list(self.spans) if one.name == name and ours.items() <= one.attributes.items()]

        eventually(lambda: bool(found()), f"span {name} {attributes}")
        return found()[0]

    def below(self, span: Span) -> dict[str, Span]:
        """Its children, by name."""
        return {one.name: one for one in self.spans if one.parent == span.id}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, name="collector")
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
