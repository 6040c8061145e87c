"""Add, pause, resume and remove schedules. These write the table at once, in the caller's transaction: no worker is
asked."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.owner_name import OwnerName
from release_worker.domain.schedules.recurrence import first_after
from release_worker.domain.schedules.schedule import NewSchedule, Schedule
from release_worker.errors import InvalidRequest, ScheduleExists, ScheduleNotFound
from release_worker.operations.schedules.validity import check_target
from release_worker.queries.schedules import find_schedule
from release_worker.store.clock import now_of
from release_worker.store.owners.listing import find_owner
from release_worker.store.owners.naming import find_toolset
from release_worker.store.owners.scopes import organization_of_project
from release_worker.store.schedules import (
    delete_schedule,
    insert_schedule,
    schedule_of_id,
    start,
    stop,
)


def add_schedule(connection: Connection, new: NewSchedule, schedule_id: UUID) -> Schedule:
    """Write a schedule down under this id, once.

    Raises InvalidRequest, also for what is no valid request and for an instant that has passed, ToolsetNotFound,
    OwnerNotFound and ScheduleExists; ReleaseNotFound and ReleaseMarkedBad for a rollback to a release that is no target
    now.
    """
    recurrence, request = new.recurrence, new.request
    scope = _scope(connection, new)
    check_target(connection, request, scope["toolset_id"])
    next_fire_at = first_after(recurrence, now_of(connection))
    if next_fire_at is None:
        raise _invalid("at", "this instant has passed, or none is left: give a later one")
    columns = {
        "id": schedule_id,
        **scope,
        **new.model_dump(include={"name", "kind", "cron", "timezone", "misfire", "catch_up_seconds"}),
        "arguments": new.full_arguments,
        "fire_at": new.instant,
        "overlap": new.policy_of_overlap,
        "next_fire_at": next_fire_at,
        "created_by": new.actor,
    }
    insert_schedule(connection, columns)
    added = schedule_of_id(connection, schedule_id)
    if added is None:
        namesake = find_schedule(connection, new.name, organization=str(scope["organization_id"]))
        raise ScheduleExists(schedule=new.name, organization=namesake.organization)
    return added


def pause_schedule(connection: Connection, name: str, *, organization: str | None = None) -> Schedule:
    """Let it fire no more until it is resumed. Raises ScheduleNotFound, and InvalidRequest as `find_schedule`."""
    held = _held(connection, name, organization)
    stop(connection, held)
    return _again(connection, held.id)


def resume_schedule(connection: Connection, name: str, *, organization: str | None = None) -> Schedule:
    """Let it fire at its next instant from now on, whether it was paused or suspended: nothing is caught up. A schedule
    that is active stays as it is, with what is due.

    Raises ScheduleNotFound, and InvalidRequest as `find_schedule`, also if no instant is left.
    """
    held = _held(connection, name, organization)
    if held.active:
        return held
    next_fire_at = first_after(held.recurrence, now_of(connection))
    if next_fire_at is None:
        raise _invalid("schedule", f"the only instant of {name} has passed: run it now, or add another schedule")
    start(connection, held, next_fire_at)
    return _again(connection, held.id)


def remove_schedule(connection: Connection, name: str, *, organization: str | None = None) -> Schedule:
    """Remove it, and return what it was. The requests that it has made stay, and are done. Raises ScheduleNotFound, and
    InvalidRequest as `find_schedule`."""
    held = _held(connection, name, organization)
    delete_schedule(connection, held)
    return held


def _scope(connection: Connection, new: NewSchedule) -> dict[str, Any]:
    """The ids of what the schedule is for."""
    if new.toolset is not None:
        subject = find_toolset(connection, new.toolset, organization=new.organization)
        return {"organization_id": subject.organization_id, "project_id": None, "toolset_id": subject.toolset_id}
    scope, owner_id = find_owner(connection, OwnerName(project=new.project, organization=new.organization))
    if scope == "organization":
        return {"organization_id": owner_id, "project_id": None, "toolset_id": None}
    organization_id = organization_of_project(connection, owner_id)
    return {"organization_id": organization_id, "project_id": owner_id, "toolset_id": None}


def _held(connection: Connection, name: str, organization: str | None) -> Schedule:
    """The schedule as it is now that nobody else changes it."""
    found = find_schedule(connection, name, organization=organization)
    held = schedule_of_id(connection, found.id, hold=True)
    if held is None:
        raise ScheduleNotFound(schedule=name)
    return held


def _again(connection: Connection, schedule_id: UUID) -> Schedule:
    schedule = schedule_of_id(connection, schedule_id)
    assert schedule is not None, "its row is held"
    return schedule


def _invalid(field: str, problem: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {problem}", problems=[{"field": field, "problem": problem}])
