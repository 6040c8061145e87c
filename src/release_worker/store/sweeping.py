"""Finding requests that nobody is at work on although somebody should be."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import ReleaseWorkerError
from release_worker.store.requests import COLUMNS, record_of
from release_worker.store.statements import parsed


def take_overdue(connection: Connection, *, patience_seconds: float, limit: int) -> list[RequestRecord]:
    """The oldest requests that have waited in vain: queued, or due for their retry, for longer than patience, or
    running under a lease that ran out. Each is given to one sweeper only, and not again before patience has run out
    once more."""
    take = f"""
        UPDATE ours.release_requests SET published_at = now()
        WHERE id IN (
            SELECT id FROM ours.release_requests
            WHERE status = 'queued'
                  AND greatest(created_at, published_at, next_attempt_at) < now() - make_interval(secs => :patience)
               OR status = 'running' AND lease_until < now()
                  AND coalesce(published_at < now() - make_interval(secs => :patience), true)
            ORDER BY seq LIMIT :limit
            FOR UPDATE SKIP LOCKED)
        RETURNING {COLUMNS}
    """
    rows = connection.execute(parsed(take), {"patience": patience_seconds, "limit": limit})
    return sorted((record_of(row) for row in rows), key=lambda record: record.seq)


def fail_exhausted(
    connection: Connection, *, attempts: int, error: ReleaseWorkerError, toolset_id: UUID | None = None
) -> list[str]:
    """Mark those requests failed whose last worker went silent and which have no attempts left, with their last error,
    or `error` if they had none; of one toolset, if it is given. Their lease is taken away, which says how they ended.
    Returns their ids."""
    mailbox = "true" if toolset_id is None else "toolset_id = :toolset_id"
    exhaust = f"""
        UPDATE ours.release_requests
        SET status = 'failed', error = coalesce(error, CAST(:error AS jsonb)), finished_at = clock_timestamp(),
            lease_until = NULL
        WHERE id IN (
            SELECT id FROM ours.release_requests
            WHERE {mailbox} AND status = 'running' AND lease_until < now()
                  AND attempts - attempts_before >= :attempts
            FOR UPDATE SKIP LOCKED)
        RETURNING id
    """
    parameters = {
        "attempts": attempts,
        "error": canonical_json.dumps(error.as_record()),
        "toolset_id": toolset_id,
    }
    return list(connection.execute(parsed(exhaust), parameters).scalars())


def requeue_failed(connection: Connection, request_id: str) -> bool:
    """Bring a failed request back, with as many attempts again; False if it is not failed. The count goes on: if a
    number were given twice, a worker of the first attempt could act in the name of the second."""
    requeue = """
        UPDATE ours.release_requests
        SET status = 'queued', attempts_before = attempts, next_attempt_at = NULL, finished_at = NULL, worker = NULL,
            lease_until = NULL, published_at = now()
        WHERE id = :id AND status = 'failed'
    """
    return connection.execute(parsed(requeue), {"id": request_id}).rowcount == 1
