"""Post an event to a URL, as Standard Webhooks has it: signed, to an address that was checked, in bounded time.

The name is looked up once, and the connection goes to the address that was checked: a second lookup, by a library that
takes a name, could have another answer. Proxies of the environment are not used, and redirects not followed.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version

from release_worker.domain.deliveries import Message, Receiver, Undelivered
from release_worker.domain.signing import SigningSecret
from release_worker.domain.text import printable
from release_worker.domain.webhook_rules import WebhookRules, WebhookTarget

_READ_AT_MOST = 4096  # bytes of an answer's body; it is not used
_GONE = 410


class WebhookPoster:
    """Posts on behalf of a deployment: what it allows, and for how long an attempt may take, in seconds."""

    def __init__(self, rules: WebhookRules, *, seconds: float, tls: ssl.SSLContext | None = None) -> None:
        """`tls` says which certificates are trusted; by default those of the system, or of SSL_CERT_FILE."""
        self._rules = rules
        self._seconds = seconds
        self._tls = tls or ssl.create_default_context()

    def post(self, receiver: Receiver, message: Message) -> Undelivered | None:
        """Send it; None if the receiver answered with a status of 200 to 299."""
        assert receiver.url is not None, "it is a webhook's"
        assert receiver.secret is not None, "it is signed"
        ends = time.monotonic() + self._seconds
        body = message.body()
        try:
            headers = signed_headers(receiver.secret, message, body, now=time.time())
            target = self._rules.target(receiver.url)
            status = self._status(target, headers, body, ends)
        except (OSError, HTTPException, ValueError) as error:
            if time.monotonic() < ends:
                return Undelivered(printable(f"{type(error).__name__}: {error}", 300))
        if time.monotonic() >= ends:  # an answer that was cut short can look like one
            return Undelivered(f"no answer within {self._seconds:g} s")
        if 200 <= status <= 299:
            return None
        return Undelivered(f"answered {status}", gone=status == _GONE)

    def _status(self, target: WebhookTarget, headers: dict[str, str], body: bytes, ends: float) -> int:
        with self._connected(target, ends) as connection:
            connection.request("POST", target.path, body=body, headers={"host": target.authority, **headers})
            response = connection.getresponse()
            response.read(_READ_AT_MOST)
            return response.status

    @contextmanager
    def _connected(self, target: WebhookTarget, ends: float) -> Iterator[HTTPConnection]:
        """A connection whose socket is shut once the time is over, however slowly the other side goes on."""
        connection = HTTPConnection(target.host, target.port)
        with self._socket(target, ends) as opened, _ended_at(opened, ends):
            connection.sock = opened
            try:
                if isinstance(opened, ssl.SSLSocket):
                    opened.do_handshake()
                yield connection
            finally:
                connection.close()

    def _socket(self, target: WebhookTarget, ends: float) -> socket.socket:
        """Connected to the first address of the host that takes it, and about to speak TLS if it must."""
        failed: OSError | None = None
        for address in self._addresses(target):
            try:
                plain = socket.create_connection((address, target.port), timeout=_left(ends))
            except OSError as error:
                failed = error
                continue
            return self._secured(plain, target) if target.secure else plain
        raise failed or OSError("the host has no address")

    def _secured(self, plain: socket.socket, target: WebhookTarget) -> socket.socket:
        return self._tls.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False)

    def _addresses(self, target: WebhookTarget) -> list[str]:
        """Each address of the host, all of them checked before one of them is used. Raises ValueError and OSError."""
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
        for address in addresses:
            self._rules.check_address(address)
        return addresses


def signed_headers(secret: str, message: Message, body: bytes, *, now: float) -> dict[str, str]:
    """The headers of a message; `now` in seconds of Unix time."""
    timestamp = int(now)
    return {
        "content-type": "application/json",
        "user-agent": f"release-worker/{version('release-worker')}",
        "connection": "close",
        "webhook-id": str(message.id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": SigningSecret.parse(secret).sign(str(message.id), timestamp, body),
    }


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time of the attempt is over")
    return left


@contextmanager
def _ended_at(opened: socket.socket, ends: float) -> Iterator[None]:
    def shut() -> None:
        with suppress(OSError):
            socket.socket.shutdown(opened, socket.SHUT_RDWR)  # that of TLS would take the reader's state away

    timer = threading.Timer(_left(ends) + 0.01, shut)  # when it fires, the time is over by any count
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
