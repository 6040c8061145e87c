"""Do what a schedule asks for once, now."""

from collections.abc import Sequence

from sqlalchemy import Connection
from uuid_utils import uuid7

from release_worker.domain.requests.kinds import validate_request
from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.operations.schedules.validity import check_target
from release_worker.queries.schedules import find_schedule
from release_worker.store.owners.scopes import require_scope
from release_worker.store.scheduled_requests import Instant, insert_scheduled


def run_now(
    connection: Connection, name: str, *, organization: str | None = None, override_freeze: str | None = None
) -> Sequence[ScheduledRequest]:
    """Make the requests of a schedule under a key of their own; when it fires next stays as it is. A schedule that is
    paused or suspended can be run, too. During a freeze they are refused, as any other, unless `override_freeze` says
    why not.

    Raises ScheduleNotFound, InvalidRequest, ToolsetNotFound and OwnerNotFound if what it is for is gone,
    ReleaseNotFound and ReleaseMarkedBad for a rollback to a release that is no target now.
    """
    schedule = find_schedule(connection, name, organization=organization)
    request = schedule.request
    if override_freeze is not None:
        fields = {**request.arguments(), "override_freeze": override_freeze}
        request = validate_request(request.kind, fields)
    require_scope(connection, schedule)
    check_target(connection, request, schedule.toolset_id)
    now = Instant(f"{schedule.keys}now:{uuid7()}", overlap=True)
    return insert_scheduled(connection, schedule, request, now)
