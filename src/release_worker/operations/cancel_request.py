"""Cancel a request that no worker has begun."""

from sqlalchemy import Connection

from release_worker.domain.cancellation import Cancellation
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import RequestCancelled, RequestNotQueued
from release_worker.queries.find_request import find_request
from release_worker.store.requests import abandon


def cancel_request(
    connection: Connection, request_id: str, cancellation: Cancellation, *, organization: str | None = None
) -> None:
    """Let a queued request fail with RequestCancelled. Its message may still arrive, and then does nothing.

    If `organization`, a slug or an id, is given, another's request is treated as missing. Raises RequestNotFound,
    and RequestNotQueued for a request that is running or has ended: a worker that claims it at this moment wins or
    loses, never both.
    """
    record = find_request(connection, request_id, organization=organization)
    while not abandon(connection, record.id, _cancelled(record, cancellation)):
        record = find_request(connection, record.id)
        if record.status != "queued":  # or else it was running until now, and is to be tried again
            raise _not_queued(record)


def _cancelled(record: RequestRecord, cancellation: Cancellation) -> RequestCancelled:
    message = f"request {record.id} was cancelled by {cancellation.actor}"
    if cancellation.reason:
        message += f": {' '.join(cancellation.reason.split())}"
    return RequestCancelled(message, request_id=record.id, cancelled_by=cancellation.actor, reason=cancellation.reason)


def _not_queued(record: RequestRecord) -> RequestNotQueued:
    state = "is running" if record.status == "running" else f"has {record.status} already"
    message = f"request {record.id} {state}: only a queued request can be cancelled"
    return RequestNotQueued(message, request_id=record.id, status=record.status)
