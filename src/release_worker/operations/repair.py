"""Put live state back to the current release."""

from release_worker.domain.requests.repair import Repair, RepairResult
from release_worker.domain.requests.rollback import Rollback, check_component_names
from release_worker.operations.rollback.rollback import carry_through
from release_worker.state.work import Work


def repair(work: Work, request: Repair) -> RepairResult:
    """Roll back to the current release, whatever was said of it. Raises what a rollback raises."""
    check_component_names(request.components, work.registry.names)
    asked = Rollback(
        toolset=request.toolset,
        actor=request.actor,
        to="current",
        reason=request.reason,
        components=request.components,
        on_missing=request.on_missing,
        allow_shared_impact=request.allow_shared_impact,
        allow_bad=True,
        override_freeze=request.override_freeze,
    )
    done = carry_through(work, asked)
    return RepairResult.model_construct(done.model_fields_set, **dict(done))
