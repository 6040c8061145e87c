"""The answer of a rollback, and of a plan."""

from typing import Any
from uuid import UUID

from release_worker.domain.release import Release
from release_worker.domain.requests.rollback import Rollback, RollbackResult
from release_worker.operations.rollback.plan import RollbackPlan


def result_of(
    plan: RollbackPlan,
    request: Rollback,
    *,
    backup: Release | None = None,
    outcome: Release | None = None,
    rollback_id: UUID | None = None,
) -> RollbackResult:
    """What was done; `backup` and `outcome` are the releases that were made current or kept, if any."""
    current = outcome or plan.current
    return RollbackResult(
        rollback_id=rollback_id,
        current_release_number=current.release_number if current else None,
        backup_release_number=backup.release_number if backup else None,
        warnings=plan.warnings,
        dry_run=False,
        **_common(plan),
    )


def plan_result(plan: RollbackPlan, plan_id: str | None) -> RollbackResult:
    """What would be done, and what `apply_plan` compares with what is there when it comes to it."""
    warnings = plan.warnings
    if plan.backs_up:
        warnings = (*warnings, "live state has edits that no release contains; a backup keeps them first")
    return RollbackResult(
        rollback_id=None,
        current_release_number=plan.current.release_number if plan.current else None,
        backup_release_number=None,
        warnings=warnings,
        dry_run=True,
        plan_id=plan_id,
        missing={kind: tuple(urns) for kind, urns in plan.dependencies.missing.items()},
        refused=None if plan.refusal is None else plan.refusal.as_record(),
        live_digests=dict(plan.before.components),
        **_common(plan),
    )


def _common(plan: RollbackPlan) -> dict[str, Any]:
    return {
        "toolset_id": plan.subject.toolset_id,
        "from_release_number": plan.current.release_number if plan.current else None,
        "to_release_number": plan.target.release_number,
        "components": tuple(plan.wanted.contents),
        "changes": dict(plan.changes),
        "noop": plan.noop,
        "affected": tuple(plan.affected),
    }
