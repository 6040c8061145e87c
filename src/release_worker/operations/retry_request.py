"""Bring a failed request back."""

from sqlalchemy import Connection

from release_worker.domain.request_record import RequestRecord
from release_worker.errors import IdempotencyConflict, InvalidRequest
from release_worker.queries.find_request import find_request
from release_worker.store.sweeping import requeue_failed


def retry_request(connection: Connection, request_id: str, *, organization: str | None = None) -> RequestRecord:
    """Queue a failed request again, as if it had just been asked; it keeps its place in its toolset's order.

    If `organization`, a slug or an id, is given, another's request is as good as not there. Raises RequestNotFound,
    and InvalidRequest for one that has not failed or that was refused when it arrived: it was no valid request, it
    named no toolset, or its key or id was that of another.
    """
    record = find_request(connection, request_id, organization=organization)
    if record.status != "failed":
        raise _not_failed(record)
    if record.toolset_id is None or isinstance(record.stored_error(), IdempotencyConflict):
        raise InvalidRequest(f"request {request_id} was refused: it was not a valid one", problems=[])
    record.request()
    if not requeue_failed(connection, request_id):
        raise _not_failed(find_request(connection, request_id))
    return record


def _not_failed(record: RequestRecord) -> InvalidRequest:
    why = "has succeeded already" if record.status == "succeeded" else f"is {record.status} and will be done"
    return InvalidRequest(f"request {record.id} {why}: only a failed request can be tried again", problems=[])
