"""Into the ledger: the requests of one instant of a schedule, of all toolsets in one statement."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.requests.fields import LONGEST_PATH
from release_worker.domain.requests.request import Request
from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.domain.schedules.schedule import Schedule
from release_worker.store.owners.scopes import LIVING
from release_worker.store.statements import parsed

# SQL: the toolset by its path; by its id if the path would be refused in a request.
_NAMED = rf"""
    CASE WHEN path ~ '^[A-Za-z0-9_.~-]+(/[A-Za-z0-9_.~-]+){{2}}$' AND char_length(path) <= {LONGEST_PATH} THEN path
         ELSE CAST(toolset_id AS text) END
"""
# SQL: no earlier request of this schedule waits or is at work for the toolset.
_ENDED = """
    NOT EXISTS (
        SELECT FROM ours.release_requests AS earlier
        WHERE earlier.toolset_id = living.toolset_id AND earlier.status IN ('queued', 'running')
          AND starts_with(earlier.idempotency_key, :keys))
"""


@dataclass(frozen=True, slots=True)
class Instant:
    """What the requests of an instant have in common: their `key`, whether they may `overlap` with an earlier one that
    has not ended, and the projects whose toolsets get none."""

    key: str
    overlap: bool
    without: Collection[UUID] = ()


def insert_scheduled(
    connection: Connection, schedule: Schedule, request: Request, instant: Instant
) -> list[ScheduledRequest]:
    """Write a request down for each living toolset in the schedule's scope, in the order of their paths, unless the
    toolset has one of this key."""
    insert = f"""
        WITH living AS MATERIALIZED ({LIVING})
        INSERT INTO ours.release_requests (id, kind, toolset_id, idempotency_key, payload, requested_by)
        SELECT CAST(ours.release_worker_uuid7() AS text), :kind, toolset_id, :key,
               CAST(:payload AS jsonb) || jsonb_build_object('toolset', {_NAMED}), :actor
        FROM living
        WHERE project_id <> ALL (CAST(:without AS uuid[])) AND {"true" if instant.overlap else _ENDED}
        ORDER BY path, toolset_id
        ON CONFLICT DO NOTHING
        RETURNING id, toolset_id, payload ->> 'toolset' AS toolset
    """
    parameters = {
        **schedule.parameters,
        "kind": request.kind,
        "key": instant.key,
        "keys": schedule.keys,
        "without": list(instant.without),
        "payload": canonical_json.dumps(request.payload()),
        "actor": request.actor,
    }
    return [
        ScheduledRequest(
            row.id,
            row.toolset_id,
            request.model_copy(update={"toolset": row.toolset, "idempotency_key": instant.key}),
            behind_others=schedule.scope != "toolset",
        )
        for row in connection.execute(parsed(insert), parameters)
    ]
