"""Into the ledger: a request is written down once, under its id and its idempotency key, or refused.

Here the name of a toolset is resolved, once: the row holds the toolset's id, and from then on only that counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
    VersionConflict,
)
from release_worker.store.owners.naming import toolset_named
from release_worker.store.owners.relations import OWNED, PATH_OF
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
    named, naming_parameters = _named(request)
    bounded = f"set_config('lock_timeout', '{lock_timeout}', true)" if lock_timeout else "NULL"
    # Who has the grants of the release before, and no trace, needs no other ones.
    traced, trace = (", traceparent", ", CAST(:traceparent AS text)") if traceparent else ("", "")
    insert = f"""
        WITH named AS MATERIALIZED ({named}), bounded AS MATERIALIZED (SELECT {bounded})
        INSERT INTO ours.release_requests (id, kind, toolset_id, idempotency_key, payload, requested_by{traced})
        SELECT :id, :kind, (SELECT id FROM named), :idempotency_key, CAST(:payload AS jsonb), :requested_by{trace}
        FROM bounded
        ON CONFLICT DO NOTHING
        RETURNING {COLUMNS}, EXISTS (
            SELECT FROM ours.release_requests AS other
            WHERE other.toolset_id = (SELECT id FROM named) AND other.status IN ('queued', 'running')
            OFFSET {DEFAULTS.crowd - 1}) AS behind_others,
            {_path_if_named_by_id(request)} AS path
    """
    parameters = {
        "id": request_id,
        "kind": request.kind,
        "idempotency_key": request.idempotency_key,
        "payload": canonical_json.dumps(request.payload()),
        "requested_by": request.actor,
        **({"traceparent": traceparent} if traceparent else {}),
        **naming_parameters,
    }
    for _ in range(TRIES):
        row = connection.execute(parsed(insert), parameters).one_or_none()
        if row is not None:
            fields = dict(row._mapping)
            behind_others, path = fields.pop("behind_others"), fields.pop("path")
            return Accepted(RequestRecord(**fields), behind_others, path)
        earlier = _earlier(connection, request, parameters)
        if earlier is not None:
            return Accepted(earlier)
    raise VersionConflict(reason="the earlier request was removed meanwhile")


def _named(request: Request) -> tuple[str, dict[str, object]]:
    """SQL: the id of the toolset that a request names, none if there is no such toolset; and its parameters."""
    return toolset_named(request.toolset, request.organization)


def _path_if_named_by_id(request: Request) -> str:
    """SQL: the path of the request's toolset if the request has only its id, else NULL."""
    if "/" in request.toolset:
        return "NULL"
    return f"(SELECT {PATH_OF} FROM {OWNED} WHERE t.id = release_requests.toolset_id)"


def _earlier(connection: Connection, request: Request, parameters: Mapping[str, Any]) -> RequestRecord | None:
    """The row of this id, else of this toolset and key; it must ask for the same, perhaps of a toolset that it names in
    another way. The row of this id belongs to its toolset also if the name means another one by now. None if there is
    none any more: it was old, and has been deleted. Raises VersionConflict if the toolset is gone, too."""
    query = f"""
        WITH named AS MATERIALIZED ({_named(request)[0]})
        SELECT {COLUMNS}, coalesce(toolset_id = (SELECT id FROM named), false) AS named
        FROM ours.release_requests
        WHERE id = :id OR toolset_id = (SELECT id FROM named) AND idempotency_key = :idempotency_key
        ORDER BY id = :id DESC LIMIT 1
    """
    row = connection.execute(parsed(query), parameters).one_or_none()
    if row is None:
        if connection.execute(parsed(_named(request)[0]), parameters).one_or_none() is None:
            raise VersionConflict(reason="the toolset was renamed or deleted meanwhile")
        return None
    fields = dict(row._mapping)
    named = fields.pop("named")
    return _if_same(RequestRecord(**fields), request, parameters["id"], named=named)


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
    named, naming_parameters = _named(refusal.request) if refusal.request else ("CAST(NULL AS uuid)", {})
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
