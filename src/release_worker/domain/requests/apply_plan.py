"""Do a rollback that was planned."""

from release_worker.domain.requests.fields import Reason, RequestId, Text
from release_worker.domain.requests.request import Request
from release_worker.domain.requests.rollback import RollbackResult


class ApplyPlanResult(RollbackResult):
    """The answer of the rollback."""


class ApplyPlan(Request):
    """Do exactly what a plan said, the answer of a rollback with `dry_run`. If anything that it was decided from has
    moved since, the request fails with StaleState, which says what, and changes nothing.
    """

    kind = "apply_plan"
    queue = "rollbacks"
    result = ApplyPlanResult
    positional = ("toolset", "plan_id", "actor", "reason")
    later = ("override_freeze",)

    plan_id: RequestId
    reason: Text | None = None
    override_freeze: Reason | None = None
