"""One method for each kind of request that changes nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release_worker.client.asking import Asking
from release_worker.client.request_handle import RequestHandle

if TYPE_CHECKING:
    from release_worker.domain.requests.diff import DiffResult, Live
    from release_worker.domain.requests.status import StatusResult
    from release_worker.domain.requests.verify import VerifyResult


class ReadingRequests(Asking):
    """Asks what is there. That goes through the queue as everything does: a client needs no database for it, and the
    ledger keeps what was found."""

    def diff(
        self,
        toolset: str,
        release_number: int,
        to: "int | Live" = "live",
        *,
        components: Sequence[str] | None = None,
        key: str | None = None,
        actor: str = "diff",
        organization: str | None = None,
    ) -> "RequestHandle[DiffResult]":
        """Ask what differs between a release and another one, or live state; otherwise as `create_release`."""
        fields = {
            "toolset": toolset,
            "release_number": release_number,
            "to": to,
            "components": components if components is None or isinstance(components, str) else tuple(components),
            "key": key,
            "actor": actor,
            "organization": organization,
        }
        return self._submit("diff", fields, None)

    def verify(
        self, toolset: str, *, actor: str = "verify", organization: str | None = None
    ) -> "RequestHandle[VerifyResult]":
        """Ask for every digest of the toolset's history to be recomputed; otherwise as `create_release`."""
        return self._submit("verify", {"toolset": toolset, "actor": actor, "organization": organization}, None)

    def status(
        self, toolset: str, *, actor: str = "status", organization: str | None = None
    ) -> "RequestHandle[StatusResult]":
        """Ask how the toolset is: its current release, drift from it, and its requests; otherwise as `create_release`.

        The answer comes when what was asked before is done."""
        return self._submit("status", {"toolset": toolset, "actor": actor, "organization": organization}, None)
