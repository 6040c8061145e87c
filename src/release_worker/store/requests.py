"""The ledger: one row a request, the queue of record.

    queued ──claim──► running ──succeed──► succeeded
      ▲                 │  └─────fail────► failed
      └────postpone─────┘

A claim counts an attempt and takes a lease; a running request whose lease ran out can be claimed again. Every change
of a running request names the attempt that it belongs to, so that a worker that lost its claim changes nothing. The
transaction of an operation holds its request's row, which says "at work" better than a lease: whoever finds a row held
passes by.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from release_worker.domain import canonical_json
from release_worker.domain.request_record import Claim, RequestRecord, Ticket
from release_worker.errors import LockUnavailable, ReleaseWorkerError, RequestNotFound
from release_worker.store.owners.naming import organization_named
from release_worker.store.owners.relations import organization_of
from release_worker.store.statements import parsed

COLUMNS = """
    id, seq, kind, toolset_id, idempotency_key, payload, status, attempts, next_attempt_at, worker, lease_until, result,
    error, requested_by, created_at, started_at, finished_at, traceparent
"""


# SQL: the id of the request whose turn it is in the toolset's mailbox; NULL if nothing waits or runs there.
FIRST_OF_MAILBOX = """(
    SELECT id FROM ours.release_requests
    WHERE toolset_id = :toolset_id AND status IN ('queued', 'running') ORDER BY seq LIMIT 1)"""
# SQL: the request belongs to the organization that a caller names. A request without a toolset belongs to the
# organization that it names itself.
_OF_ORGANIZATION = f"""
    CASE WHEN toolset_id IS NULL THEN {organization_named("payload ->> 'organization'")}
         ELSE {organization_of("toolset_id")}
    END = {organization_named(":organization")}
"""


def get_request(connection: Connection, request_id: str, *, organization: str | None = None) -> RequestRecord | None:
    """The request of this id; None if there is none, or it is another organization's than this one, a slug or an id."""
    query = f"SELECT {COLUMNS} FROM ours.release_requests WHERE id = :id"
    parameters = {"id": request_id}
    if organization is not None:
        query += f" AND {_OF_ORGANIZATION}"
        parameters["organization"] = organization
    row = connection.execute(parsed(query), parameters).one_or_none()
    return None if row is None else record_of(row)


def ended_requests(connection: Connection, request_ids: Sequence[str]) -> list[RequestRecord]:
    """Those of these requests that have ended. Raises RequestNotFound if the ledger does not have one of them."""
    query = f"""
        SELECT asked.named, {COLUMNS}
        FROM unnest(CAST(:ids AS text[])) AS asked (named) LEFT JOIN ours.release_requests ON id = asked.named
        WHERE id IS NULL OR status IN ('succeeded', 'failed')
    """
    ended = []
    for row in connection.execute(parsed(query), {"ids": list(request_ids)}):
        named, *values = row
        if row.id is None:
            raise RequestNotFound(request_id=named)
        ended.append(RequestRecord(*values))
    return ended


def list_requests(
    connection: Connection,
    *,
    toolset_id: UUID | None = None,
    organization: str | None = None,
    statuses: Sequence[str] = (),
    limit: int = 50,
) -> list[RequestRecord]:
    """The newest requests first; of one toolset, of one organization (a slug or an id), and in these statuses, if
    given."""
    query = f"""
        SELECT {COLUMNS} FROM ours.release_requests
        WHERE (CAST(:toolset_id AS uuid) IS NULL OR toolset_id = :toolset_id)
          AND (CAST(:organization AS text) IS NULL OR {_OF_ORGANIZATION})
          AND (cardinality(CAST(:statuses AS text[])) = 0 OR status = ANY (CAST(:statuses AS text[])))
        ORDER BY seq DESC LIMIT :limit
    """
    parameters = {"toolset_id": toolset_id, "organization": organization, "statuses": list(statuses), "limit": limit}
    return [record_of(row) for row in connection.execute(parsed(query), parameters)]


def claim_next(
    connection: Connection, ticket: Ticket, *, worker: str, lease_seconds: float, attempts: int
) -> Claim | None:
    """Claim the first unfinished request of the ticket's mailbox.

    Returns None if that request is not due yet, runs under a lease that is still good, is held, or has used its
    `attempts` up; also if the ticket's own request has finished, or is not what the ticket says.
    """
    said = "AND own.kind = :kind AND own.payload = CAST(:payload AS jsonb)" if ticket.said else ""
    claim = f"""
        WITH head AS (
            SELECT id FROM ours.release_requests WHERE id = {FIRST_OF_MAILBOX} FOR UPDATE SKIP LOCKED)
        UPDATE ours.release_requests AS request
        SET status = 'running', attempts = attempts + 1, started_at = coalesce(started_at, now()),
            next_attempt_at = NULL, worker = :worker, lease_until = now() + make_interval(secs => :lease_seconds)
        FROM head
        WHERE request.id = head.id
          AND (status = 'queued' AND coalesce(next_attempt_at <= now(), true)
               OR status = 'running' AND lease_until < now() AND attempts - attempts_before < :attempts)
          AND NOT EXISTS (
              SELECT FROM ours.release_requests AS other
              WHERE toolset_id = :toolset_id AND status = 'running' AND lease_until >= now())
          AND EXISTS (
              SELECT FROM ours.release_requests AS own
              WHERE own.id = :id AND own.toolset_id = :toolset_id AND own.status IN ('queued', 'running') {said})
        RETURNING request.id, kind, attempts, payload, toolset_id, attempts - attempts_before, traceparent
    """
    parameters = {
        "id": ticket.id,
        "toolset_id": ticket.toolset_id,
        "worker": worker,
        "lease_seconds": lease_seconds,
        "attempts": attempts,
    }
    if ticket.said:
        parameters |= {"kind": ticket.said.kind, "payload": canonical_json.dumps(ticket.said.payload())}
    row = connection.execute(parsed(claim), parameters).one_or_none()
    return None if row is None else Claim(*row)


def hold(connection: Connection, claim: Claim) -> None:
    """Keep everyone off the request until the transaction ends. Raises LockUnavailable if the claim was lost.

    It must be the transaction's first statement: in a snapshot, a renewal of the lease between its beginning and
    `succeed` would be a conflict, and an operation that outlasts a renewal could never end.
    """
    held = """
        SELECT id FROM ours.release_requests WHERE id = :id AND status = 'running' AND attempts = :attempt
        FOR NO KEY UPDATE
    """
    if connection.execute(parsed(held), {"id": claim.id, "attempt": claim.attempt}).one_or_none() is None:
        raise _taken_over(claim)


def renew_lease(connection: Connection, claim: Claim, *, lease_seconds: float) -> bool:
    """Say that the claim's worker is alive. Returns False if its transaction says so already by holding the row, or if
    the claim is no longer the latest."""
    renew = """
        UPDATE ours.release_requests SET lease_until = now() + make_interval(secs => :lease_seconds)
        WHERE id = (SELECT id FROM ours.release_requests WHERE id = :id FOR NO KEY UPDATE SKIP LOCKED)
          AND status = 'running' AND attempts = :attempt
    """
    parameters = {"id": claim.id, "attempt": claim.attempt, "lease_seconds": lease_seconds}
    return connection.execute(parsed(renew), parameters).rowcount == 1


def succeed(connection: Connection, claim: Claim, result: Mapping[str, Any]) -> None:
    """Mark the request done, in the transaction of its effect. Raises LockUnavailable if the claim was lost."""
    changes = "status = 'succeeded', result = CAST(:value AS jsonb), error = NULL, finished_at = clock_timestamp()"
    if not _finish(connection, claim, changes, value=result):
        raise _taken_over(claim)


def fail(connection: Connection, claim: Claim, error: ReleaseWorkerError) -> bool:
    """Mark the request failed for good. Returns False if the claim was lost, or the request is done after all."""
    changes = "status = 'failed', error = CAST(:value AS jsonb), finished_at = clock_timestamp()"
    return _finish(connection, claim, changes, value=error.as_record())


def postpone(connection: Connection, claim: Claim, error: ReleaseWorkerError, *, delay_seconds: float) -> bool:
    """Put the request back into the queue, to be tried again. Returns False as `fail` does."""
    changes = """
        status = 'queued', error = CAST(:value AS jsonb), worker = NULL, lease_until = NULL,
        next_attempt_at = now() + make_interval(secs => :delay_seconds)
    """
    return _finish(connection, claim, changes, value=error.as_record(), delay_seconds=delay_seconds)


def abandon(connection: Connection, request_id: str, error: ReleaseWorkerError) -> bool:
    """Mark a queued request failed: no worker got to it within its retries, it is not valid, or somebody cancelled it.
    Returns False if it is not queued; a request that runs or has ended is left alone."""
    abandoned = """
        UPDATE ours.release_requests
        SET status = 'failed', error = CAST(:error AS jsonb), next_attempt_at = NULL, finished_at = clock_timestamp()
        WHERE id = :id AND status = 'queued'
    """
    parameters = {"id": request_id, "error": canonical_json.dumps(error.as_record())}
    return connection.execute(parsed(abandoned), parameters).rowcount == 1


def _finish(
    connection: Connection, claim: Claim, changes: str, *, value: Mapping[str, Any], **parameters: object
) -> bool:
    finish = f"""
        UPDATE ours.release_requests SET {changes}, timings = CAST(:timings AS jsonb)
        WHERE id = :id AND status = 'running' AND attempts = :attempt
    """
    given = {
        "id": claim.id,
        "attempt": claim.attempt,
        "value": canonical_json.dumps(value),
        "timings": json.dumps(claim.timings.so_far()),
        **parameters,
    }
    return connection.execute(parsed(finish), given).rowcount == 1


def _taken_over(claim: Claim) -> LockUnavailable:
    return LockUnavailable(f"request {claim.id} was taken over by another worker", request_id=claim.id)


def record_of(row: Row[Any]) -> RequestRecord:
    """A row of `COLUMNS`."""
    return RequestRecord(**row._mapping)
