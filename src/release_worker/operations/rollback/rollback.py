"""Roll a toolset back to a release: all of it, or the chosen components, exactly or not at all."""

from collections.abc import Callable

from release_worker.domain.requests.rollback import Rollback, RollbackResult, check_component_names
from release_worker.operations.rollback.apply import apply
from release_worker.operations.rollback.holding import hold_for_rollback
from release_worker.operations.rollback.plan import RollbackPlan, plan_rollback, with_warning
from release_worker.operations.rollback.results import plan_result
from release_worker.operations.rollback.target import beyond_the_rollback, with_its_number
from release_worker.state.work import Work
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.releases import releases_of_rollback


def rollback(work: Work, request: Rollback) -> RollbackResult:
    """Hold what is needed, plan, restore, read back, record. A dry run only plans, and holds nothing.

    Raises ToolsetNotFound, ReleaseNotFound, InvalidRequest (an unknown component), and what `plan_rollback` and `apply`
    raise.
    """
    check_component_names(request.components, work.registry.names)
    return _plan(work, request) if request.dry_run else carry_through(work, request)


def carry_through(
    work: Work, request: Rollback, *, check: Callable[[RollbackPlan], None] = lambda _: None
) -> RollbackResult:
    """Roll back; `check` may refuse the plan by raising an error. Raises the same errors."""
    with work.timings.step("hold"):
        held = hold_for_rollback(work, request)
    with work.timings.step("plan"):
        plan = plan_rollback(work.connection, held.request, work.registry, subject=held.subject, releases=held.releases)
        plan = with_warning(plan, beyond_the_rollback(work, request))
    check(plan)
    return apply(work, held.request, plan, held=held.scopes)


def _plan(work: Work, request: Rollback) -> RollbackResult:
    connection = work.connection
    subject = toolset_of_id(connection, work.toolset_id)
    numbered = with_its_number(connection, subject.toolset_id, request)
    releases = releases_of_rollback(connection, subject, numbered.number)
    with work.timings.step("plan"):
        plan = plan_rollback(connection, numbered, work.registry, subject=subject, releases=releases)
        plan = with_warning(plan, beyond_the_rollback(work, request))
    return plan_result(plan, work.request_id)
