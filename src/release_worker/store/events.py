"""The outbox: what happened, written in the transaction in which it happened.

The ends of requests write themselves down: a trigger of `release_requests` sees every path on which a request ends,
without a round trip. Anything else that happens is added here.
"""

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.events import Event
from release_worker.store.owners.relations import OWNED, PATH_OF
from release_worker.store.statements import parsed


def add_event(connection: Connection, event: Event) -> None:
    """Write an event down, to be delivered once this transaction has committed. A toolset's project and organization
    are looked up."""
    insert = f"""
        INSERT INTO release_events (type, toolset_id, project_id, organization_id, data)
        SELECT :type, :toolset_id, coalesce(place.project_id, :project_id),
               coalesce(place.organization_id, :organization_id),
               jsonb_strip_nulls(jsonb_build_object('path', place.path)) || CAST(:data AS jsonb)
        FROM (SELECT) AS always LEFT JOIN (
            SELECT t.project_id, t.organization_id, {PATH_OF} AS path FROM {OWNED} WHERE t.id = :toolset_id
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
