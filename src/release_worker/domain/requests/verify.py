"""Recompute every digest of a toolset's history."""

from typing import Any

from release_worker.domain.requests.fields import Name
from release_worker.domain.requests.request import Request, Result


class VerifyResult(Result):
    """How many releases and stored parts were looked at, and for each that is not what it should be
    `{toolset_id, release_number, object, components, stored, computed}`. `warnings` tell what could not be decided."""

    releases: int
    parts: int
    mismatches: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]


class Verify(Request):
    """Recompute every digest of a toolset's history, and follow its numbers and predecessors; changes nothing.

    A mismatch names the release and what of it: a part with the components in it, the release's own digest, its
    predecessor or its number.
    """

    kind = "verify"
    queue = "maintenance"
    result = VerifyResult
    positional = ("toolset",)

    actor: Name = "verify"

    def only_reads(self) -> bool:
        return True

    def reads_records_alone(self) -> bool:
        return True
