"""A real HTTP server on 127.0.0.1 that notes what is posted to it, and answers as a test says."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass(frozen=True)
class Posted:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """The event, once the library of the specification has verified it."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, **headers: str) -> Answer:
    """Answers with it."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", "0")
        handler.end_headers()

    return answer


OK = status(204)


@dataclass
class Endpoint:
    """What was posted, and what is answered: the next of `answers`, else `otherwise`."""

    url: str
    posted: list[Posted] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    otherwise: Answer = OK
    # Set when the test ends: an answer that waits for it never comes by itself.
    over: threading.Event = field(default_factory=threading.Event)

    def ids(self) -> list[str]:
        return [one.headers["webhook-id"] for one in self.posted]


@contextmanager
def endpoint(*, tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """Serve on a free port of 127.0.0.1."""
    noting = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with noting:
                made.posted.append(
                    Posted(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                )
                answer = made.answers.pop(0) if made.answers else made.otherwise
            answer(self)

        def log_message(self, *_: object) -> None:
            """The test says what happened."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        over = threading.Event()

        def handle_error(self, *_: object) -> None:
            """A client that goes away is no news."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme, port = "http" if tls is None else "https", server.server_address[1]
        made = Endpoint(f"{scheme}://127.0.0.1:{port}/hook", over=server.over)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield made
        finally:
            made.over.set()
            server.shutdown()
            thread.join()
