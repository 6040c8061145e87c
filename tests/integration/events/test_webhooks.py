"""Posting over HTTP: signed, to the address that was checked, without redirects, and in bounded time."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from release_worker.domain.deliveries import Message, Receiver, Undelivered
from release_worker.domain.signing import SigningSecret
from release_worker.domain.webhook_rules import WebhookRules
from release_worker.worker.webhooks import WebhookPoster
from tests.support.receivers import Endpoint, endpoint, status

ALLOWED = WebhookRules(private=True, http=True)
SECRET = SigningSecret.generate().text
MESSAGE = Message(uuid4(), "release.created", uuid4(), {"path": "acme/payments/billing"}, datetime.now(UTC))


@pytest.fixture
def receiver() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def post(url: str, rules: WebhookRules = ALLOWED, *, seconds: float = 30.0, **options: Any) -> Undelivered | None:
    poster = WebhookPoster(rules, seconds=seconds, **options)
    return poster.post(Receiver(uuid4(), url=url, secret=SECRET), MESSAGE)


def reason(undelivered: Undelivered | None) -> str:
    assert undelivered is not None
    return undelivered.reason


def test_an_event_is_posted_with_a_signature_that_the_library_of_the_specification_verifies(receiver: Endpoint) -> None:
    assert post(f"{receiver.url}?to=me") is None
    [posted] = receiver.posted
    assert posted.verified(SECRET) == MESSAGE.as_json()
    assert posted.path == "/hook?to=me"
    assert posted.headers["webhook-id"] == str(MESSAGE.id)
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["host"] == receiver.url.split("/")[2]


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_any_status_of_success_is_one(receiver: Endpoint, code: int) -> None:
    receiver.answers.append(status(code))
    assert post(receiver.url) is None


@pytest.mark.parametrize("code", [300, 400, 401, 404, 429, 500, 503])
def test_any_other_status_is_a_failure_that_is_tried_again(receiver: Endpoint, code: int) -> None:
    receiver.answers.append(status(code))
    assert post(receiver.url) == Undelivered(f"answered {code}")


def test_410_says_that_the_receiver_is_gone(receiver: Endpoint) -> None:
    receiver.answers.append(status(410))
    assert post(receiver.url) == Undelivered("answered 410", gone=True)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver: Endpoint, code: int) -> None:
    with endpoint() as elsewhere:
        receiver.answers.append(status(code, location=elsewhere.url))
        assert post(receiver.url) == Undelivered(f"answered {code}")
        assert elsewhere.posted == []


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0", "0.0.0.0", "localhost", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_no_name_of_this_machine_is_connected_to(receiver: Endpoint, host: str) -> None:
    url = receiver.url.replace("127.0.0.1", host)
    assert "not a public address" in reason(post(url, WebhookRules(http=True)))
    assert receiver.posted == []


def answering(*addresses: str) -> Any:
    """A resolver that says this of every name below example.com."""
    really = socket.getaddrinfo

    def lookup(host: str, port: int, *rest: Any, **options: Any) -> list[Any]:
        if not host.endswith(".example.com"):
            return really(host, port, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    return lookup


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("93.184.216.34", "127.0.0.1"), ("10.0.0.1",), ("169.254.169.254",)]
)
def test_a_name_is_refused_if_any_of_its_addresses_is_not_public(
    receiver: Endpoint, monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answering(*addresses))
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("it must not connect"))
    url = receiver.url.replace("127.0.0.1", "hooks.example.com")
    assert "not a public address" in reason(post(url, WebhookRules(http=True)))


def test_the_connection_goes_to_the_address_that_was_checked_with_the_name_kept(
    receiver: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that gives another answer the second time is not asked a second time for the name."""
    asked: list[str] = []
    really = socket.getaddrinfo

    def rebinding(host: str, port: int, *rest: Any, **options: Any) -> list[Any]:
        asked.append(host)
        if host == "hooks.example.com":
            answer = "127.0.0.1" if asked.count(host) == 1 else "127.0.0.2"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, port))]
        return really(host, port, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    port = receiver.url.rpartition(":")[2].split("/")[0]
    assert post(f"http://hooks.example.com:{port}/hook") is None
    assert asked.count("hooks.example.com") == 1
    assert receiver.posted[0].headers["host"] == f"hooks.example.com:{port}"


def test_the_next_address_is_tried_if_one_does_not_answer(receiver: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    really = socket.create_connection
    tried: list[str] = []

    def connect(address: tuple[str, int], **options: Any) -> socket.socket:
        tried.append(address[0])
        if address[0] == "127.0.0.3":
            raise ConnectionRefusedError("nobody is here")
        return really(address, **options)

    monkeypatch.setattr(socket, "getaddrinfo", answering("127.0.0.3", "127.0.0.1"))
    monkeypatch.setattr(socket, "create_connection", connect)
    url = receiver.url.replace("127.0.0.1", "hooks.example.com")
    assert post(url) is None
    assert tried == ["127.0.0.3", "127.0.0.1"]


def test_who_does_not_listen_is_a_failure_in_words() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        assert "refused" in reason(post(url))


def silent(handler: BaseHTTPRequestHandler) -> None:
    """Never answers."""
    over(handler).wait()


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Answers a byte at a time, each in time for a timeout of the socket, and never to the end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-drip: ")
    while not over(handler).wait(0.02):
        handler.wfile.write(b"x")


def over(handler: BaseHTTPRequestHandler) -> Any:
    return handler.server.over  # type: ignore[attr-defined]


@pytest.mark.parametrize("answer", [silent, dripping])
def test_an_answer_that_does_not_come_to_its_end_is_given_up(receiver: Endpoint, answer: Any) -> None:
    receiver.answers.append(answer)
    assert reason(post(receiver.url, seconds=0.5)) == "no answer within 0.5 s"
    receiver.over.set()


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(65_536))
    except OSError:
        handler.close_connection = True


def test_an_endless_answer_is_not_read_to_its_end(receiver: Endpoint) -> None:
    receiver.answers.append(endless)
    assert post(receiver.url) is None


def speaking_ssh(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-nothing\r\n")


def test_what_is_no_http_is_a_failure(receiver: Endpoint) -> None:
    receiver.answers.append(speaking_ssh)
    assert "BadStatusLine" in reason(post(receiver.url))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for hooks.example.com, with its key, in one file."""
    made = tmp_path_factory.mktemp("tls") / "both.pem"
    key, cert = made.with_name("key.pem"), made.with_name("cert.pem")
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hooks.example.com"]
    names = ["-addext", "subjectAltName=DNS:hooks.example.com", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", "req", "-x509", *options, *names], check=True, capture_output=True)
    made.write_text(cert.read_text() + key.read_text())
    return made


@pytest.mark.parametrize(
    ("name", "trusted", "arrives"),
    [("hooks.example.com", True, True), ("other.example.com", True, False), ("hooks.example.com", False, False)],
    ids=["the right name", "another name", "a certificate of nobody"],
)
def test_the_certificate_must_be_that_of_the_name(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, trusted: bool, arrives: bool
) -> None:
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate)) if trusted else None
    with endpoint(tls=served) as receiver:
        monkeypatch.setattr(socket, "getaddrinfo", answering("127.0.0.1"))
        outcome = post(receiver.url.replace("127.0.0.1", name), tls=trusting)
        assert (outcome is None) == arrives
        assert arrives or "certificate verify failed" in reason(outcome).lower().replace("_", " ")
        assert len(receiver.posted) == arrives


def test_proxies_of_the_environment_are_not_used(receiver: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as proxy:
        for variable in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        assert post(receiver.url) is None
        assert proxy.posted == []
