"""Into the ledger: many requests in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.request_record import RequestRecord
from release_worker.domain.requests.request import Request
from release_worker.errors import VersionConflict
from release_worker.store.accepting import TRIES, earlier_request
from release_worker.store.requests import COLUMNS, record_of
from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is to have this id, for the toolset of this id: its name is not looked up again."""

    id: str
    toolset_id: UUID
    request: Request


def accept_together(
    connection: Connection, asked: Sequence[Asked], *, traceparent: str | None = None
) -> list[RequestRecord]:
    """Write the requests down, each once, in this trace, and return their rows in the same order; of a request that is
    there already, under its id or its toolset and key, that row.

    Two callers with the same requests in the same order wait for each other and do not deadlock. Raises
    IdempotencyConflict, as `earlier_request`, and VersionConflict.
    """
    found: dict[str, RequestRecord] = {}
    for _ in range(TRIES):
        left = [one for one in asked if one.id not in found]
        if not left:
            break
        found |= _inserted(connection, left, traceparent)
        for one in left:
            if one.id not in found:
                earlier = earlier_request(connection, one.request, request_id=one.id, toolset_id=one.toolset_id)
                found |= {} if earlier is None else {one.id: earlier}
    if len(found) < len(asked):
        raise VersionConflict(reason="an earlier request was removed meanwhile")
    return [found[one.id] for one in asked]


def _inserted(connection: Connection, asked: Sequence[Asked], traceparent: str | None) -> dict[str, RequestRecord]:
    """The new rows, by their ids."""
    traced, trace = (", traceparent", ", CAST(:traceparent AS text)") if traceparent else ("", "")
    insert = f"""
        INSERT INTO ours.release_requests (id, kind, toolset_id, idempotency_key, payload, requested_by{traced})
        SELECT asked.id, asked.kind, asked.toolset_id, asked.idempotency_key, asked.payload, asked.requested_by{trace}
        FROM unnest(
            CAST(:ids AS text[]), CAST(:kinds AS text[]), CAST(:toolset_ids AS uuid[]),
            CAST(:idempotency_keys AS text[]), CAST(:payloads AS jsonb[]), CAST(:requested_by AS text[])
        ) WITH ORDINALITY AS asked (id, kind, toolset_id, idempotency_key, payload, requested_by, place)
        ORDER BY place
        ON CONFLICT DO NOTHING
        RETURNING {COLUMNS}
    """
    parameters = {
        "ids": [one.id for one in asked],
        "kinds": [one.request.kind for one in asked],
        "toolset_ids": [one.toolset_id for one in asked],
        "idempotency_keys": [one.request.idempotency_key for one in asked],
        "payloads": [canonical_json.dumps(one.request.payload()) for one in asked],
        "requested_by": [one.request.actor for one in asked],
        **({"traceparent": traceparent} if traceparent else {}),
    }
    return {row.id: record_of(row) for row in connection.execute(parsed(insert), parameters)}
