"""Look a request up, for a caller who may name an organization."""

from sqlalchemy import Connection

from release_worker.domain.request_record import RequestRecord
from release_worker.errors import RequestNotFound, ToolsetNotFound
from release_worker.store.requests import get_request
from release_worker.store.toolsets import find_toolset


def find_request(connection: Connection, request_id: str, *, organization: str | None = None) -> RequestRecord:
    """The request of this id. Raises RequestNotFound, also for one of another organization than `organization`, a slug
    or an id, where that is given."""
    record = get_request(connection, request_id)
    if record is None or not _is_of(connection, record, organization):
        raise RequestNotFound(request_id=request_id)
    return record


def _is_of(connection: Connection, record: RequestRecord, organization: str | None) -> bool:
    if organization is None:
        return True
    if record.toolset_id is None:
        return record.payload.get("organization") == organization
    try:
        find_toolset(connection, str(record.toolset_id), organization=organization)
    except ToolsetNotFound:
        return False
    return True
