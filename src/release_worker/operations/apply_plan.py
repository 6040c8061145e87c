"""Do a rollback that was planned, if nothing has moved since."""

from pydantic import ValidationError

from release_worker.domain.requests.apply_plan import ApplyPlan, ApplyPlanResult
from release_worker.domain.requests.rollback import Rollback, RollbackResult
from release_worker.errors import Frozen, InvalidRequest, RequestNotFound, StaleState
from release_worker.operations.rollback.plan import RollbackPlan
from release_worker.operations.rollback.results import plan_result
from release_worker.operations.rollback.rollback import carry_through
from release_worker.state.work import Work
from release_worker.store.requests import get_request


def apply_plan(work: Work, request: ApplyPlan) -> ApplyPlanResult:
    """Plan again, with everything held, and go on only if this plan is that one.

    A freeze counts as it is now, whatever the plan said of one: time has passed, and nothing has moved.

    Raises RequestNotFound if the toolset has no such plan, InvalidRequest if it is no plan, StaleState, and what a
    rollback raises.
    """
    asked, planned = _planned(work, request)

    def check(plan: RollbackPlan) -> None:
        if moved := _moved(planned, plan):
            what = ", ".join(moved)
            raise StaleState(
                f"plan {request.plan_id} no longer holds: {what} moved since", plan_id=request.plan_id, moved=moved
            )

    done = carry_through(work, asked, check=check)
    return ApplyPlanResult.model_construct(done.model_fields_set, **dict(done))


def _planned(work: Work, request: ApplyPlan) -> tuple[Rollback, RollbackResult]:
    """The rollback that the plan was for, with the number that was found then, and the plan's answer."""
    record = get_request(work.connection, request.plan_id)
    if record is None or record.toolset_id != work.toolset_id:
        raise RequestNotFound(request_id=request.plan_id)
    asked = record.request()
    if not isinstance(asked, Rollback) or not asked.dry_run or record.status != "succeeded":
        problem = {"field": "plan_id", "problem": "is not a plan that succeeded"}
        raise InvalidRequest(f"request {request.plan_id} is not a plan that succeeded", problems=[problem])
    try:
        planned = RollbackResult.model_validate(record.result)
    except ValidationError:  # somebody else wrote it
        raise InvalidRequest(f"request {request.plan_id} has no answer of a plan", problems=[]) from None
    changes = {
        "dry_run": False,
        "actor": request.actor,
        "reason": request.reason or asked.reason,
        "override_freeze": request.override_freeze,
    }
    return asked.at(planned.to_release_number).model_copy(update=changes), planned


def _moved(planned: RollbackResult, plan: RollbackPlan) -> list[str]:
    """What is not as it was: live components by name, and the rest in words."""
    now = plan_result(plan, planned.plan_id)
    before, live = planned.live_digests or {}, now.live_digests or {}
    moved = [name for name in {**before, **live} if before.get(name) != live.get(name)]
    others: dict[str, tuple[object, object]] = {
        "the current release": (planned.from_release_number, now.from_release_number),
        "the affected toolsets": (_jsonlike(planned.affected), _jsonlike(now.affected)),
        "what is missing": (planned.missing, now.missing),
        "the components": (planned.components, now.components),
    }
    refused = [(one.refused or {}).get("type") for one in (planned, now)]
    if Frozen.__name__ not in refused:
        others["the reason to refuse it"] = refused[0], refused[1]
    return [*moved, *(name for name, (then, today) in others.items() if then != today)]


def _jsonlike(affected: object) -> object:
    return [dict(one) for one in affected] if isinstance(affected, tuple) else affected
