"""Signatures of events, as Standard Webhooks has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Self

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64  # bytes, as the specification asks
_GENERATED = 32


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """The key that signs the events of one subscription; it is not in its own text."""

    key: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> Self:
        """A new one."""
        return cls(secrets.token_bytes(_GENERATED))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The secret that is written as `whsec_` and base64, or as base64 alone. Raises ValueError, which does not
        repeat the text."""
        try:
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"must be {PREFIX} and base64") from None
        if not SHORTEST <= len(key) <= LONGEST:
            raise ValueError(f"must be {PREFIX} and the base64 of {SHORTEST} to {LONGEST} bytes")
        return cls(key)

    @property
    def text(self) -> str:
        """What whoever verifies the signature needs."""
        return PREFIX + base64.b64encode(self.key).decode()

    @property
    def fingerprint(self) -> str:
        """Tells secrets apart, and does not give them away."""
        return hashlib.sha256(b"release_worker fingerprint:" + self.key).hexdigest()[:12]

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """The value of the header `webhook-signature`; `timestamp` is in seconds of Unix time."""
        signed = f"{message_id}.{timestamp}.".encode() + body
        return "v1," + base64.b64encode(hmac.digest(self.key, signed, "sha256")).decode()
