"""The outbox: what happened, written in the transaction in which it happened.

The ends of requests write themselves down: a trigger of `release_requests` sees every path on which a request ends,
without a round trip. Anything else that happens is added here.
"""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.events import Event, EventFilter, EventRecord
from release_worker.store.owners.naming import organization_named
from release_worker.store.owners.relations import OWNED, PATH_OF
from release_worker.store.statements import parsed


def add_event(connection: Connection, event: Event) -> None:
    """Write an event down, to be delivered once this transaction has committed. A toolset's project and organization
    are looked up; of a toolset that is not the event's organization's, if that is said, nothing is told but the id."""
    insert = f"""
        INSERT INTO ours.release_events (type, toolset_id, project_id, organization_id, data)
        SELECT :type, :toolset_id, coalesce(place.project_id, :project_id),
               coalesce(place.organization_id, :organization_id),
               jsonb_strip_nulls(jsonb_build_object('path', place.path)) || CAST(:data AS jsonb)
        FROM (SELECT) AS always LEFT JOIN (
            SELECT t.project_id, t.organization_id, {PATH_OF} AS path FROM {OWNED}
            WHERE t.id = :toolset_id AND coalesce(t.organization_id = CAST(:organization_id AS uuid), true)
        ) AS place ON true
    """
    parameters = {
        "type": event.type,
        "toolset_id": event.toolset_id,
        "project_id": event.project_id,
        "organization_id": event.organization_id,
        "data": canonical_json.dumps(event.data),
    }
    connection.execute(parsed(insert), parameters)


# SQL: the event `e` is of the organization that a caller names, if the caller names one.
_OF_CALLER = f"(CAST(:organization AS text) IS NULL OR e.organization_id = {organization_named(':organization')})"


def list_events(connection: Connection, chosen: EventFilter, *, limit: int) -> list[EventRecord]:
    """The newest events first."""
    query = f"""
        SELECT e.id, e.seq, e.type, e.toolset_id, e.data, e.created_at FROM ours.release_events e
        WHERE (CAST(:toolset_id AS uuid) IS NULL OR e.toolset_id = :toolset_id) AND {_OF_CALLER}
          AND (cardinality(CAST(:types AS text[])) = 0 OR e.type = ANY (CAST(:types AS text[])))
          AND (CAST(:before AS bigint) IS NULL OR e.seq < :before)
        ORDER BY e.seq DESC LIMIT :limit
    """
    parameters = {
        "toolset_id": chosen.toolset_id,
        "types": list(chosen.types),
        "before": chosen.before,
        "organization": chosen.organization,
        "limit": limit,
    }
    return [EventRecord(*row) for row in connection.execute(parsed(query), parameters)]


def event_is_there(connection: Connection, event_id: UUID, *, organization: str | None = None) -> bool:
    """Whether it is kept, and the organization's that a caller names."""
    query = f"SELECT EXISTS (SELECT FROM ours.release_events e WHERE e.id = :event_id AND {_OF_CALLER})"
    parameters = {"event_id": event_id, "organization": organization}
    return bool(connection.execute(parsed(query), parameters).scalar_one())
