"""Whether what a schedule asks for can be done now."""

from uuid import UUID

from sqlalchemy import Connection, Engine

from release_worker.domain.requests.request import Request
from release_worker.domain.requests.rollback import Rollback, RollbackResult
from release_worker.domain.schedules.schedule import Schedule
from release_worker.errors import PermanentError, from_record
from release_worker.operations.execute import Addressed, carry_out
from release_worker.operations.rollback.plan import marked_bad
from release_worker.state.registry import Registry
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.releases import releases_of_rollback


def check_rollback(engine: Engine, registry: Registry, schedule: Schedule) -> None:
    """Plan a scheduled rollback, in a snapshot of its own; nothing is changed.

    Raises what the rollback would be refused with: its target is gone or marked bad, something that it served is
    missing, other toolsets would be changed, or a release is not current that should be. A freeze is no such reason: it
    ends. Does nothing for other kinds.
    """
    if schedule.kind != Rollback.kind or schedule.toolset_id is None:
        return
    planned = {"toolset": str(schedule.toolset_id), "dry_run": True, "override_freeze": "only a plan"}
    plan = schedule.request.model_copy(update=planned)
    result = carry_out(engine, Addressed(plan, schedule.toolset_id), registry)
    assert isinstance(result, RollbackResult)
    if result.refused is not None:
        error = from_record(result.refused)
        assert isinstance(error, PermanentError), "a plan is refused for good"
        raise error


def check_target(connection: Connection, request: Request, toolset_id: UUID | None) -> None:
    """Raises ReleaseNotFound if the release that a rollback names by its number is not there, and ReleaseMarkedBad if
    it is marked bad, unless that is allowed. Does nothing for other kinds, and for a release that is named by a word:
    it is looked up when the rollback is done."""
    if not isinstance(request, Rollback) or request.to is not None or toolset_id is None:
        return
    subject = toolset_of_id(connection, toolset_id)
    refusal = marked_bad(request, subject, releases_of_rollback(connection, subject, request.number))
    if refusal is not None:
        raise refusal
