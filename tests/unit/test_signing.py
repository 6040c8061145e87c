"""Signatures are those of Standard Webhooks: the specification's own library verifies them, and makes the same."""

import base64
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from release_worker.domain.deliveries import Message, Receiver
from release_worker.domain.signing import LONGEST, SHORTEST, SigningSecret
from release_worker.worker.webhooks import signed_headers

# The example of the specification's libraries.
EXAMPLE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_that_of_the_specification() -> None:
    body = b'{"test": 2432232314}'
    signature = SigningSecret.parse(EXAMPLE).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("text", [EXAMPLE, EXAMPLE.removeprefix("whsec_"), SigningSecret(bytes(range(LONGEST))).text])
def test_the_library_of_the_specification_verifies_what_is_sent_and_refuses_what_was_changed(text: str) -> None:
    message = Message(
        uuid4(), "release.created", uuid4(), {"path": "é/ü/ö", "n": 12345678901234567890}, datetime.now(UTC)
    )
    body = message.body()
    headers = signed_headers(text, message, body, now=datetime.now(UTC).timestamp())
    verifier = Webhook(text)
    assert verifier.verify(body, headers) == message.as_json()
    assert headers["webhook-id"] == str(message.id)
    for changed, other in (
        (body.replace(b"release.created", b"request.failed"), headers),
        (body, headers | {"webhook-id": str(uuid4())}),
        (body, headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            verifier.verify(changed, other)


def test_a_body_is_the_same_at_each_attempt() -> None:
    fields = (uuid4(), "release.created", None, {"b": 1, "a": 2}, datetime.now(UTC))
    assert Message(*fields, attempts=0).body() == Message(*fields, attempts=5).body()


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "whsec_not base64 at all, is it?", "whsec_é", *(
        "whsec_" + base64.b64encode(bytes(size)).decode() for size in (SHORTEST - 1, LONGEST + 1)
    )],
)  # fmt: skip
def test_what_is_no_secret_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_") as refused:
        SigningSecret.parse(text)
    assert len(text) < 8 or text not in str(refused.value)


def test_no_text_of_ours_has_the_secret() -> None:
    secret = SigningSecret.generate()
    receiver = Receiver(uuid4(), url="https://example.com/?token=hunter2", secret=secret.text)
    for shown in (repr(secret), str(secret), secret.fingerprint, repr(receiver)):
        assert secret.text.removeprefix("whsec_") not in shown
        assert repr(secret.key) not in shown
        assert "hunter2" not in shown
    assert SigningSecret.generate().fingerprint != secret.fingerprint
    assert SigningSecret.parse(secret.text).fingerprint == secret.fingerprint
