"""Look a request up, for a caller who may name an organization."""

from sqlalchemy import Connection

from release_worker.domain.request_record import RequestRecord
from release_worker.errors import RequestNotFound
from release_worker.store.requests import get_request


def find_request(connection: Connection, request_id: str, *, organization: str | None = None) -> RequestRecord:
    """The request of this id. Raises RequestNotFound, also for a request of another organization than `organization`, a
    slug or an id, if that is given."""
    record = get_request(connection, request_id, organization=organization)
    if record is None:
        raise RequestNotFound(request_id=request_id)
    return record
