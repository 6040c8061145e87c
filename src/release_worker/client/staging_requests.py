"""Asking for staged copies."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from release_worker.client.asking import Asking
from release_worker.client.request_handle import RequestHandle

if TYPE_CHECKING:
    from release_worker.domain.requests.discard import DiscardResult
    from release_worker.domain.requests.publish import PublishResult
    from release_worker.domain.requests.set_mode import EditingMode, SetModeResult
    from release_worker.domain.requests.stage import StageResult


class StagingRequests(Asking):
    """The methods of a client for staging. What they have in common with `create_release` is as there."""

    def stage(self, toolset: str, *, actor: str, organization: str | None = None) -> "RequestHandle[StageResult]":
        """Ask for a copy of `toolset` to edit in its place, or for the one that is there."""
        return self._submit("stage", {"toolset": toolset, "actor": actor, "organization": organization}, None)

    def publish(
        self,
        toolset: str,
        *,
        actor: str,
        notes: str | None = None,
        labels: Mapping[str, Any] | None = None,
        expected_current_release: int | None = None,
        override_freeze: str | None = None,
        idempotency_key: str | None = None,
        organization: str | None = None,
    ) -> "RequestHandle[PublishResult]":
        """Ask for `toolset` to get the state of its staged copy, and to be released."""
        fields = {
            "toolset": toolset,
            "actor": actor,
            "notes": notes,
            "labels": None if labels is None else dict(labels),
            "expected_current_release": expected_current_release,
            "override_freeze": override_freeze,
            "idempotency_key": idempotency_key,
            "organization": organization,
        }
        return self._submit("publish", fields, None)

    def discard(self, toolset: str, *, actor: str, organization: str | None = None) -> "RequestHandle[DiscardResult]":
        """Ask for the staged copy of `toolset` to be deleted; never for `toolset` itself."""
        return self._submit("discard", {"toolset": toolset, "actor": actor, "organization": organization}, None)

    def set_mode(
        self, toolset: str, mode: "EditingMode", *, actor: str, organization: str | None = None
    ) -> "RequestHandle[SetModeResult]":
        """Say how `toolset` is edited: in `staging` mode, its copy outlives publishing."""
        fields = {"toolset": toolset, "mode": mode, "actor": actor, "organization": organization}
        return self._submit("set_mode", fields, None)
