"""Find schedules, for a caller who may name an organization."""

from collections.abc import Sequence

from sqlalchemy import Connection

from release_worker.domain.schedules.schedule import Schedule
from release_worker.errors import InvalidRequest, ScheduleNotFound
from release_worker.store.schedules import list_schedules


def schedules(connection: Connection, *, organization: str | None = None) -> Sequence[Schedule]:
    """All schedules by organization and name; those of one organization, a slug or an id, if it is given."""
    return list_schedules(connection, organization=organization)


def find_schedule(connection: Connection, name: str, *, organization: str | None = None) -> Schedule:
    """The schedule of this name. Raises ScheduleNotFound, and InvalidRequest if several organizations have one and none
    is named."""
    found = list_schedules(connection, name=name, organization=organization)
    if not found:
        raise ScheduleNotFound(schedule=name)
    if len(found) > 1:
        having = ", ".join(schedule.organization for schedule in found[:10])
        problem = f"several organizations have a schedule {name}: {having}; say which"
        raise InvalidRequest(problem, problems=[{"field": "organization", "problem": problem}])
    return found[0]
