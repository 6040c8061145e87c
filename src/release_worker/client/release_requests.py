"""One method for each kind of request about releases."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from release_worker.client.asking import Asking
from release_worker.client.request_handle import RequestHandle

if TYPE_CHECKING:
    from release_worker.client.transactions import CallersTransaction
    from release_worker.domain.requests.apply_plan import ApplyPlanResult
    from release_worker.domain.requests.check_drift import CheckDriftResult
    from release_worker.domain.requests.create_release import CreateReleaseResult
    from release_worker.domain.requests.mark import Judgement, MarkResult
    from release_worker.domain.requests.pin import PinResult
    from release_worker.domain.requests.prune import PruneResult
    from release_worker.domain.requests.repair import RepairResult
    from release_worker.domain.requests.rollback import Destination, OnMissing, RollbackResult


class ReleaseRequests(Asking):
    """Asks for releases and for what is done with them. Each method returns a handle at once."""

    def create_release(
        self,
        toolset: str,
        *,
        actor: str,
        notes: str | None = None,
        labels: Mapping[str, Any] | None = None,
        only_if_changed: bool = False,
        expected_current_release: int | None = None,
        override_freeze: str | None = None,
        idempotency_key: str | None = None,
        organization: str | None = None,
        session: "CallersTransaction | None" = None,
    ) -> "RequestHandle[CreateReleaseResult]":
        """Ask for a release of `toolset`, a UUID or `organization/project/toolset`.

        `organization`, a slug or an id, says whose toolset it must be: another's is treated as missing.
        `override_freeze`, a reason, lets it be done during a freeze, which refuses it with Frozen otherwise.
        With `session`, the request joins the caller's transaction and is published after its commit. Raises
        InvalidRequest, IdempotencyConflict and BrokerUnavailable; in the last, `request_id` says that it was kept.
        """
        fields = {
            "toolset": toolset,
            "actor": actor,
            "notes": notes,
            "labels": None if labels is None else dict(labels),
            "only_if_changed": only_if_changed,
            "expected_current_release": expected_current_release,
            "override_freeze": override_freeze,
            "idempotency_key": idempotency_key,
            "organization": organization,
        }
        return self._submit("create_release", fields, session)

    def rollback(
        self,
        toolset: str,
        release_number: int | None = None,
        *,
        actor: str,
        to: "Destination | None" = None,
        reason: str | None = None,
        components: Sequence[str] | None = None,
        on_missing: "OnMissing" = "fail",
        allow_shared_impact: bool = False,
        allow_bad: bool = False,
        expected_current_release: int | None = None,
        override_freeze: str | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
        organization: str | None = None,
        session: "CallersTransaction | None" = None,
    ) -> "RequestHandle[RollbackResult]":
        """Ask for `toolset` to be rolled back to the release of a number, or to the one that `to` means: `previous`,
        `undo` (what was live before the last rollback), `last_good`, `current`.

        With `dry_run` the result is a plan: `refused` says if the rollback would be refused, and `apply_plan` takes its
        `plan_id`. Otherwise as `create_release`.
        """
        fields = {
            "toolset": toolset,
            "release_number": release_number,
            "to": to,
            "actor": actor,
            "reason": reason,
            "components": _names(components),
            "on_missing": on_missing,
            "allow_shared_impact": allow_shared_impact,
            "allow_bad": allow_bad,
            "expected_current_release": expected_current_release,
            "override_freeze": override_freeze,
            "dry_run": dry_run,
            "idempotency_key": idempotency_key,
            "organization": organization,
        }
        return self._submit("rollback", fields, session)

    def apply_plan(
        self,
        toolset: str,
        plan_id: str,
        *,
        actor: str,
        reason: str | None = None,
        override_freeze: str | None = None,
        idempotency_key: str | None = None,
        organization: str | None = None,
        session: "CallersTransaction | None" = None,
    ) -> "RequestHandle[ApplyPlanResult]":
        """Ask for exactly what a plan said; `StaleState` if anything has moved since. Otherwise as `create_release`."""
        fields = {
            "toolset": toolset,
            "plan_id": plan_id,
            "actor": actor,
            "reason": reason,
            "override_freeze": override_freeze,
            "idempotency_key": idempotency_key,
            "organization": organization,
        }
        return self._submit("apply_plan", fields, session)

    def repair(
        self,
        toolset: str,
        *,
        actor: str,
        reason: str | None = None,
        components: Sequence[str] | None = None,
        on_missing: "OnMissing" = "fail",
        allow_shared_impact: bool = False,
        override_freeze: str | None = None,
        idempotency_key: str | None = None,
        organization: str | None = None,
        session: "CallersTransaction | None" = None,
    ) -> "RequestHandle[RepairResult]":
        """Ask for live state to be put back to the current release; otherwise as `rollback`."""
        fields = {
            "toolset": toolset,
            "actor": actor,
            "reason": reason,
            "components": _names(components),
            "on_missing": on_missing,
            "allow_shared_impact": allow_shared_impact,
            "override_freeze": override_freeze,
            "idempotency_key": idempotency_key,
            "organization": organization,
        }
        return self._submit("repair", fields, session)

    def check_drift(
        self, toolset: str, *, actor: str = "check_drift", organization: str | None = None
    ) -> "RequestHandle[CheckDriftResult]":
        """Ask whether live state has moved away from the current release; otherwise as `create_release`."""
        return self._submit("check_drift", {"toolset": toolset, "actor": actor, "organization": organization}, None)

    def pin(
        self, toolset: str, release_number: int, *, actor: str, pinned: bool = True, organization: str | None = None
    ) -> "RequestHandle[PinResult]":
        """Ask for a release to be kept for good, or (`pinned` false) no longer; otherwise as `create_release`."""
        fields = {"toolset": toolset, "release_number": release_number, "actor": actor, "pinned": pinned}
        return self._submit("pin", {**fields, "organization": organization}, None)

    def mark(
        self,
        toolset: str,
        release_number: int,
        mark: "Judgement",
        *,
        actor: str,
        reason: str | None = None,
        organization: str | None = None,
    ) -> "RequestHandle[MarkResult]":
        """Say of a release that it is `good` or `bad`, and why; otherwise as `create_release`."""
        fields = {"toolset": toolset, "release_number": release_number, "mark": mark, "actor": actor}
        return self._submit("mark", {**fields, "reason": reason, "organization": organization}, None)

    def prune(
        self, toolset: str, *, keep: int, actor: str, organization: str | None = None
    ) -> "RequestHandle[PruneResult]":
        """Ask for old releases to be removed, but for the newest `keep` and those that something needs."""
        fields = {"toolset": toolset, "keep": keep, "actor": actor, "organization": organization}
        return self._submit("prune", fields, None)


def _names(components: Sequence[str] | None) -> object:
    """As a request has them; what is no list of names is left to the check of the request."""
    return components if components is None or isinstance(components, str) else tuple(components)
