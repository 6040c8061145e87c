"""Bring a failed request back."""

from sqlalchemy import Connection

from release_worker.domain.request_record import RequestRecord
from release_worker.errors import IdempotencyConflict, InvalidRequest, RequestNotFound
from release_worker.store.requests import get_request
from release_worker.store.sweeping import requeue_failed


def retry_request(connection: Connection, request_id: str) -> RequestRecord:
    """Queue a failed request again, as if it had just been asked; it keeps its place in its toolset's order.

    Raises RequestNotFound, and InvalidRequest for one that has not failed or that was refused when it arrived: it was
    no valid request, or its key or id was that of another.
    """
    record = get_request(connection, request_id)
    if record is None:
        raise RequestNotFound(request_id=request_id)
    if "refused" in record.payload or isinstance(record.stored_error(), IdempotencyConflict):
        raise InvalidRequest(f"request {request_id} was refused: it was not a valid one", problems=[])
    if not requeue_failed(connection, request_id):
        raise InvalidRequest(f"request {request_id} is {record.status}, not failed", problems=[])
    return record
