"""Into the ledger: a request is written down once, under its id and its idempotency key, or refused.

Here the name of a toolset is resolved, once: the row holds the toolset's id, and from then on only that counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.request_record import RequestRecord
from release_worker.domain.requests.request import Request
from release_worker.errors import (
    IdempotencyConflict,
    InvalidRequest,
    ReleaseWorkerError,
)
from release_worker.store.owners.naming import toolset_named
from release_worker.store.requests import COLUMNS, get_request, record_of
from release_worker.store.statements import duration, parsed

# For a transaction that uses the same idempotency key.
KEY_WAIT = duration(DEFAULTS.ledger_lock_timeout)
# To write a request down, or find the row that is in its place: that one may be deleted in between, when it is old.
TRIES = 5


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that is in the ledger; `behind_others` if its toolset had a crowd of unfinished ones before; `path` is
    that of a toolset that it names by its id."""

    record: RequestRecord
    behind_others: bool = False
    path: str | None = None


# The door that every connection comes through: one statement, with the parameters that `asking` gives it. Its answer is
# text that `accepted` reads.
ACCEPT = """
    SELECT ours.release_worker_accept(
        :request_id, :kind, :toolset, :organization, :actor, :payload, :idempotency_key, :traceparent, :crowd,
        :announced, :key_wait)
"""
# The same for many requests of a kind, in their order.
ACCEPT_EACH = """
    SELECT ours.release_worker_accept(
        asked.id, :kind, asked.toolset, asked.organization, asked.actor, asked.payload, asked.idempotency_key,
        :traceparent, :crowd, :announced, :key_wait)
    FROM unnest(
        CAST(:ids AS text[]), CAST(:toolsets AS text[]), CAST(:organizations AS text[]), CAST(:actors AS text[]),
        CAST(:payloads AS text[]), CAST(:idempotency_keys AS text[])
    ) WITH ORDINALITY AS asked (id, toolset, organization, actor, payload, idempotency_key, place)
    ORDER BY asked.place
"""


def accept_request(
    connection: Connection,
    request: Request,
    *,
    request_id: str,
    lock_timeout: str | None = None,
    traceparent: str | None = None,
) -> Accepted:
    """Write the request down, once: the row of this id, or of the same toolset and idempotency key if there is one.

    A request for a toolset that is not there is written down as failed, with ToolsetNotFound: a trigger does so.
    `lock_timeout`: how long to wait for a transaction that uses the same key and has not ended, as PostgreSQL writes
    times; by default that is left to the caller's own. `traceparent`: in whose trace. Raises IdempotencyConflict if the
    id or the key was used for something else, and VersionConflict.
    """
    parameters = asking(request, request_id=request_id, lock_timeout=lock_timeout, traceparent=traceparent)
    return accepted(connection.execute(parsed(ACCEPT), parameters).scalar_one(), request, request_id)


def asking(
    request: Request,
    *,
    request_id: str,
    announced: bool = False,
    lock_timeout: str | None = None,
    traceparent: str | None = None,
) -> dict[str, Any]:
    """The parameters of `ACCEPT`. `announced`: workers hear of the request when it is committed, and publish it."""
    return {
        "request_id": request_id,
        "kind": request.kind,
        "toolset": request.toolset,
        "organization": request.organization,
        "actor": request.actor,
        "payload": canonical_json.dumps(request.payload()),
        "idempotency_key": request.idempotency_key,
        "traceparent": traceparent,
        "crowd": DEFAULTS.crowd,
        "announced": announced,
        "key_wait": lock_timeout,
    }


def asking_each(
    requests: Mapping[str, Request],
    *,
    announced: bool = False,
    lock_timeout: str | None = None,
    traceparent: str | None = None,
) -> dict[str, Any]:
    """The parameters of `ACCEPT_EACH`: requests of one kind, by the ids that they are to have."""
    asked = list(requests.values())
    return {
        "ids": list(requests),
        "kind": asked[0].kind,
        "toolsets": [one.toolset for one in asked],
        "organizations": [one.organization for one in asked],
        "actors": [one.actor for one in asked],
        "payloads": [canonical_json.dumps(one.payload()) for one in asked],
        "idempotency_keys": [one.idempotency_key for one in asked],
        "traceparent": traceparent,
        "crowd": DEFAULTS.crowd,
        "announced": announced,
        "key_wait": lock_timeout,
    }


def accepted(answer: str, request: Request, request_id: str) -> Accepted:
    """What `ACCEPT` answered. Raises IdempotencyConflict if it found a row that asks for something else."""
    told = canonical_json.loads(answer)
    record = _record_of(told["request"])
    if "named" in told:  # the row of this id belongs to its toolset also if the name means another one by now
        return Accepted(_if_same(record, request, request_id, named=told["named"]))
    return Accepted(record, told["behind_others"], told["path"])


def accepted_each(answers: Iterable[str], requests: Mapping[str, Request]) -> list[Accepted]:
    """What `ACCEPT_EACH` answered. Raises IdempotencyConflict, as `accepted`."""
    return [
        accepted(answer, request, request_id)
        for answer, (request_id, request) in zip(answers, requests.items(), strict=True)
    ]


def _record_of(row: Mapping[str, Any]) -> RequestRecord:
    """A row as PostgreSQL writes it in JSON."""
    fields = {name.name: row[name.name] for name in dataclass_fields(RequestRecord)}
    fields["toolset_id"] = None if row["toolset_id"] is None else UUID(row["toolset_id"])
    for name in ("next_attempt_at", "lease_until", "created_at", "started_at", "finished_at"):
        fields[name] = None if row[name] is None else datetime.fromisoformat(row[name])
    return RequestRecord(**fields)


def earlier_request(
    connection: Connection, request: Request, *, request_id: str, toolset_id: UUID
) -> RequestRecord | None:
    """The row of this id, else of this toolset and the request's key, whatever the toolset is called now; None if there
    is none any more. Raises IdempotencyConflict if it asks for something else."""
    query = f"""
        SELECT {COLUMNS} FROM ours.release_requests
        WHERE id = :id OR toolset_id = :toolset_id AND idempotency_key = :idempotency_key
        ORDER BY id = :id DESC LIMIT 1
    """
    parameters = {"id": request_id, "toolset_id": toolset_id, "idempotency_key": request.idempotency_key}
    row = connection.execute(parsed(query), parameters).one_or_none()
    if row is None:
        return None
    record = record_of(row)
    return _if_same(record, request, request_id, named=record.toolset_id == toolset_id)


def find_same_request(connection: Connection, request: Request, request_id: str) -> RequestRecord | None:
    """The row of this id, which the request's sender wrote; None if it is not there.

    Raises IdempotencyConflict if that row asks for something else.
    """
    record = get_request(connection, request_id)
    return None if record is None else _if_same(record, request, request_id)


def _if_same(record: RequestRecord, request: Request, request_id: str, *, named: bool = False) -> RequestRecord:
    """`named`: the request's name for the toolset means the record's toolset."""
    try:
        written = record.request()
    except InvalidRequest:  # the row was written by another program, and asks for something else
        written = None
    if written is None:
        differing = ["kind"]
    elif not (
        named or written.names_the_same(request)
    ):  # its other fields are not named: it may be another organization's
        differing = ["toolset"]
    else:
        differing = written.differing(request)
    if differing:
        key = request.idempotency_key or request_id
        raise IdempotencyConflict(idempotency_key=key, request_id=record.id, differing=differing)
    return record


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request that failed before it could be queued. `request` says whose it is, if it is legible."""

    request_id: str
    kind: str
    payload: Mapping[str, Any]
    requested_by: str
    error: ReleaseWorkerError
    request: Request | None = None


def refuse_request(connection: Connection, refusal: Refusal) -> None:
    """Write the refusal down, unless there is a row of this id."""
    asked = refusal.request
    named, naming_parameters = (
        toolset_named(asked.toolset, asked.organization) if asked is not None else ("CAST(NULL AS uuid)", {})
    )
    insert = f"""
        INSERT INTO ours.release_requests (id, kind, toolset_id, payload, status, error, requested_by, finished_at)
        VALUES (:id, :kind, ({named}), CAST(:payload AS jsonb), 'failed', CAST(:error AS jsonb), :requested_by,
                clock_timestamp())
        ON CONFLICT (id) DO NOTHING
    """
    parameters = {
        "id": refusal.request_id,
        "kind": refusal.kind,
        "payload": canonical_json.dumps(refusal.payload),
        "error": canonical_json.dumps(refusal.error.as_record()),
        "requested_by": refusal.requested_by,
        **naming_parameters,
    }
    connection.execute(parsed(insert), parameters)
