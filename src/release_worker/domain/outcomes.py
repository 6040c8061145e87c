"""What one attempt at a request came to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from release_worker.errors import ReleaseWorkerError, TransientError


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The request is done; `result` is what the ledger has stored, a JSON object."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The request has failed for good."""

    error: ReleaseWorkerError


@dataclass(frozen=True, slots=True)
class Postponed:
    """The request is queued again, and due after `delay` seconds."""

    error: TransientError
    delay: float


@dataclass(frozen=True, slots=True)
class ClaimLost:
    """The attempt changed nothing: a commit whose answer was lost had succeeded, or another worker has the request."""


Outcome = Succeeded | Failed | Postponed | ClaimLost
