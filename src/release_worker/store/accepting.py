"""Into the ledger: a request is written down once, under its id and its idempotency key, or refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from release_worker.domain import canonical_json
from release_worker.domain.messages import AnyRequest
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import IdempotencyConflict, ReleaseWorkerError, VersionConflict
from release_worker.store.requests import COLUMNS
from release_worker.store.statements import parsed
from release_worker.store.toolsets import naming

# For a transaction that uses the same idempotency key.
PATIENCE = "10s"
# How a payload names the toolset; one toolset has several names.
_NAMING = "'{toolset, organization}'::text[]"
_NAMES = "jsonb_build_array({0} -> 'toolset', {0} -> 'organization')"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that is in the ledger; `behind_others` where its toolset had unfinished ones before."""

    record: RequestRecord
    behind_others: bool = False


def accept_request(
    connection: Connection, request: AnyRequest, *, request_id: str, patience: str | None = None
) -> Accepted:
    """Write the request down, once: the row of this id, or of the same toolset and idempotency key where there is one.

    One for a toolset that is not there is written down too: the operation will say so. `patience`: how long to wait for
    a transaction that uses the same key and has not ended, as PostgreSQL writes times; by default that is left to the
    caller's own. Raises IdempotencyConflict where the key was used for something else, and VersionConflict.
    """
    named, naming_parameters = _named(request)
    bounded = f"set_config('lock_timeout', '{patience}', true)" if patience else "NULL"
    insert = f"""
        WITH named AS MATERIALIZED ({named}), bounded AS MATERIALIZED (SELECT {bounded})
        INSERT INTO release_requests (id, kind, toolset_id, idempotency_key, payload, requested_by)
        SELECT :id, :kind, (SELECT id FROM named), :idempotency_key, CAST(:payload AS jsonb), :requested_by
        FROM bounded
        ON CONFLICT DO NOTHING
        RETURNING {COLUMNS}, EXISTS (
            SELECT FROM release_requests AS other
            WHERE other.toolset_id = (SELECT id FROM named) AND other.status IN ('queued', 'running')) AS behind_others
    """
    parameters = {
        "id": request_id,
        "kind": request.kind,
        "idempotency_key": request.idempotency_key,
        "payload": canonical_json.dumps(request.payload()),
        "requested_by": request.actor,
        **naming_parameters,
    }
    row = connection.execute(parsed(insert), parameters).one_or_none()
    if row is None:
        return Accepted(_earlier(connection, request, parameters))
    fields = dict(row._mapping)
    behind_others = fields.pop("behind_others")
    return Accepted(RequestRecord(**fields), behind_others)


def _named(request: AnyRequest) -> tuple[str, dict[str, object]]:
    """SQL: the id of the toolset that a request names, none where there is no such toolset; and its parameters."""
    where, parameters = naming(request.toolset, request.organization)
    query = f"""
        SELECT t.id FROM toolsets t
        JOIN projects p ON p.id = t.project_id JOIN organizations o ON o.id = t.organization_id
        WHERE {where}
    """
    return query, parameters


def _earlier(connection: Connection, request: AnyRequest, parameters: Mapping[str, Any]) -> RequestRecord:
    """The row of this id, else of this toolset and key. It may name the toolset in another way; all else must be the
    same, and so must the name where it is that of no toolset, then or now."""
    given = "CAST(:payload AS jsonb)"
    earlier = f"""
        WITH named AS MATERIALIZED ({_named(request)[0]})
        SELECT {COLUMNS},
               kind = :kind AND payload - {_NAMING} = {given} - {_NAMING}
               AND coalesce(toolset_id = (SELECT id FROM named), {_NAMES.format("payload")} = {_NAMES.format(given)})
               AS same
        FROM release_requests
        WHERE id = :id OR toolset_id = (SELECT id FROM named) AND idempotency_key = :idempotency_key
        ORDER BY id = :id DESC LIMIT 1
    """
    row = connection.execute(parsed(earlier), parameters).one_or_none()
    if row is None:
        raise VersionConflict(reason="the toolset was renamed or deleted meanwhile")
    return _if_same(row, request, parameters["id"])


def find_same_request(connection: Connection, request: AnyRequest, request_id: str) -> RequestRecord | None:
    """The row of this id, which the request's sender wrote; None where it is not there.

    Raises IdempotencyConflict where that row asks for something else.
    """
    query = f"""
        SELECT {COLUMNS}, kind = :kind AND payload = CAST(:payload AS jsonb) AS same
        FROM release_requests WHERE id = :id
    """
    parameters = {"id": request_id, "kind": request.kind, "payload": canonical_json.dumps(request.payload())}
    row = connection.execute(parsed(query), parameters).one_or_none()
    return None if row is None else _if_same(row, request, request_id)


def _if_same(row: Row[Any], request: AnyRequest, request_id: str) -> RequestRecord:
    fields = dict(row._mapping)
    if not fields.pop("same"):
        raise IdempotencyConflict(idempotency_key=request.idempotency_key or request_id, request_id=row.id)
    return RequestRecord(**fields)


def refuse_request(
    connection: Connection,
    *,
    request_id: str,
    kind: str,
    payload: Mapping[str, Any],
    requested_by: str,
    error: ReleaseWorkerError,
    request: AnyRequest | None = None,
) -> None:
    """Write down a request that failed before it could be queued, unless there is a row of this id. `request` says
    whose it is, where it is legible."""
    named, naming_parameters = _named(request) if request else ("CAST(NULL AS uuid)", {})
    insert = f"""
        INSERT INTO release_requests (id, kind, toolset_id, payload, status, error, requested_by, finished_at)
        VALUES (:id, :kind, ({named}), CAST(:payload AS jsonb), 'failed', CAST(:error AS jsonb), :requested_by, now())
        ON CONFLICT (id) DO NOTHING
    """
    parameters = {
        "id": request_id,
        "kind": kind,
        "payload": canonical_json.dumps(payload),
        "error": canonical_json.dumps(error.as_record()),
        "requested_by": requested_by,
        **naming_parameters,
    }
    connection.execute(parsed(insert), parameters)
