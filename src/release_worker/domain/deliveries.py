"""How events come to those who asked for them: what is sent, to whom, and when it is tried again."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from release_worker.domain import canonical_json
from release_worker.domain.limits import DEFAULTS


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told: a URL, with the secret that signs; or a Celery task, and its queue. It does not tell secrets."""

    subscription_id: UUID
    url: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    task: str | None = None
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """An event as it is sent: the same at each attempt. `attempts` counts those before."""

    id: UUID
    type: str
    toolset_id: UUID | None
    data: Mapping[str, Any]
    created_at: datetime
    attempts: int = 0

    def as_json(self) -> dict[str, Any]:
        """`{id, type, timestamp, toolset_id, data}`."""
        return {
            "id": str(self.id),
            "type": self.type,
            "timestamp": self.created_at.astimezone(UTC).isoformat(),
            "toolset_id": None if self.toolset_id is None else str(self.toolset_id),
            "data": dict(self.data),
        }

    def body(self) -> bytes:
        """What is posted, and signed."""
        return canonical_json.dumps(self.as_json()).encode()


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Why a message did not arrive, or is not known to have. `gone`: the receiver wants no more of them."""

    reason: str
    gone: bool = False


# Sends a message, and returns None once the receiver has it.
Send = Callable[[Receiver, Message], Undelivered | None]

_MINUTE, _HOUR = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How often, how long and how many at once. All times are seconds.

    The waits are those that Standard Webhooks recommends; after the last, an event is given up. Each varies by a tenth,
    so that what failed together is not tried together.
    """

    waits: tuple[float, ...] = (
        5.0, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR,
    )  # fmt: skip
    # Between attempts at a receiver, whatever the event: doubled with each failure in a row.
    first_pause: float = 5.0
    longest_pause: float = 5 * _MINUTE
    # A receiver that has only failed for so long is told nothing more, until somebody resumes its subscription.
    give_up_after: timedelta = timedelta(days=5)
    # A run of the chore: how long it begins attempts, and at how many receivers at once. So many runs may go on at the
    # same time: receivers that are slow occupy no more slots of the worker than that.
    run: float = DEFAULTS.deliver_run
    receivers: int = 8
    runs: int = 2
    batch: int = 50
    # An attempt at a receiver.
    attempt: float = DEFAULTS.deliver_attempt
    # For which a run that went silent keeps its receivers.
    lease: float = DEFAULTS.deliver_lease

    def wait(self, attempts: int) -> float | None:
        """How long to wait after so many attempts at an event; None if there is no other."""
        return None if attempts > len(self.waits) else self.waits[attempts - 1] * jitter()


def jitter() -> float:
    """A factor for a wait."""
    return random.uniform(0.9, 1.1)
