"""Which URLs and addresses events may be sent to."""

import pytest
from pydantic import ValidationError

from release_worker.domain.subscriptions import NewSubscription
from release_worker.domain.webhook_rules import WebhookRules, WebhookTarget, webhook_target

STRICT = WebhookRules()
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "3fff::1",
    "192.0.0.192",
    "192.88.99.1",
    "fe80::1%eth0",
    "ff02::1",
    "2001:db8::1",
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_unless_it_is_allowed(address: str) -> None:
    with pytest.raises(ValueError, match="RELEASE_WORKER_WEBHOOKS_PRIVATE"):
        STRICT.check_address(address)
    WebhookRules(private=True).check_address(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    STRICT.check_address(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254"])
def test_an_address_in_a_url_is_refused_before_anything_is_sent(host: str) -> None:
    with pytest.raises(ValueError, match="not a public address"):
        STRICT.target(f"https://{host}/hook")


def test_plain_http_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(ValueError, match="RELEASE_WORKER_WEBHOOKS_HTTP"):
        STRICT.target("http://example.com/")
    assert WebhookRules(http=True).target("http://example.com/").port == 80


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/#here",
        "https://example.com/#",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:https/",
        "https://example.com/a b",
        "https://example.com/\r\nhost: other",
        "https://exämple.com/",
        "https://example.com/" + 2000 * "x",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_when_it_is_given(url: str) -> None:
    with pytest.raises(ValueError, match=r"must|[Pp]ort|netloc"):
        webhook_target(url)
    with pytest.raises(ValidationError):
        NewSubscription(actor="x", url=url)


def test_a_url_is_taken_apart() -> None:
    assert webhook_target("HTTPS://Example.COM/a?b=c") == WebhookTarget("example.com", 443, "/a?b=c", secure=True)
    assert webhook_target("https://example.com").path == "/"
    assert webhook_target("https://example.com:444/").authority == "example.com:444"
    assert webhook_target("http://[2606:4700::1]:80/").authority == "[2606:4700::1]"


def test_what_stands_behind_a_question_mark_is_not_shown() -> None:
    assert NewSubscription(actor="x", url="https://a.example/b?token=t").receiver == "https://a.example/b?…"
    assert NewSubscription(actor="x", url="https://a.example/b").receiver == "https://a.example/b"
    assert NewSubscription(actor="x", task="app.told", queue="q").receiver == "task app.told"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"url": "https://example.com/", "task": "a", "queue": "b"},
        {"task": "a"},
        {"url": "https://example.com/", "queue": "b"},
        {"task": "a", "queue": "b", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        {"url": "https://example.com/", "types": ("release.deleted",)},
    ],
)
def test_a_subscription_has_one_receiver_and_known_types(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        NewSubscription.model_validate({"actor": "x", **fields})
