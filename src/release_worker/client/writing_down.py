"""The database's half of asking: the request's row, and its end. Imported only if there is a database."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from release_worker.client.connections import twice
from release_worker.client.doors import OpenTransaction, joined
from release_worker.client.pauses import Turns, pauses
from release_worker.domain.request_record import RequestRecord, Status
from release_worker.domain.requests.kinds import validate_request
from release_worker.domain.requests.request import Result
from release_worker.domain.subject import ALL_SCOPES, Scope, Subject
from release_worker.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    RequestNotFound,
    ResultTimeout,
    ResultUnavailable,
)
from release_worker.store.engine import ledger_transaction
from release_worker.store.owners.holding import hold_for_editing
from release_worker.store.requests import ended_requests, get_request

T = TypeVar("T")


def hold_what_is_edited(
    session: object, toolset: str, scope: Scope, *, organization: str | None, schema: str
) -> Subject:
    """Hold the owner of this scope in the session's transaction. Raises InvalidRequest and ToolsetNotFound."""
    if scope not in ALL_SCOPES:
        problem = f"must be one of {', '.join(sorted(ALL_SCOPES))}"
        raise InvalidRequest(f"scope: {problem}", problems=[{"field": "scope", "problem": problem}])
    named = validate_request("check_drift", {"toolset": toolset, "organization": organization})
    return hold_for_editing(joined(session, schema), named.toolset, scope, organization=named.organization)


def wait_for_ledger(
    engine: Engine, request_id: str, timeout: float | None, made_in: OpenTransaction | None = None
) -> Result:
    """The result of a request, when the ledger has it. Raises its error, ResultTimeout, ResultUnavailable if the
    database is away, and RequestNotFound if there is no such request. It may yet come while the transaction that it was
    `made_in` is open, but not if this thread has to commit that: InvalidRequest."""
    deadline = None if timeout is None else time.monotonic() + timeout
    waits = pauses()
    while True:
        may_come = made_in is not None and made_in.is_open()  # asked first: what was decided by then can be seen
        record = _looked_up(engine, request_id, lambda connection: get_request(connection, request_id))
        if record is None and made_in is not None and may_come:
            made_in.refuse_to_wait_for_it()
        elif record is None:
            raise RequestNotFound(request_id=request_id)
        if record is not None and record.finished:
            return record.answer()
        if deadline is not None and time.monotonic() >= deadline:
            raise ResultTimeout(request_id=request_id, timeout=timeout, **_progress(record))
        time.sleep(next(waits))


def status_in_ledger(engine: Engine, request_id: str) -> Status:
    """How far a request is. Raises RequestNotFound, and ResultUnavailable if the database is away."""
    record = _looked_up(engine, request_id, lambda connection: get_request(connection, request_id))
    if record is None:
        raise RequestNotFound(request_id=request_id)
    return record.status


def ended_of(engine: Engine, request_ids: Sequence[str]) -> list[RequestRecord]:
    """Those of these requests that have ended. Raises RequestNotFound, and ResultUnavailable."""
    return _looked_up(engine, request_ids[0], lambda connection: ended_requests(connection, request_ids))


def in_the_order_of_their_ends(
    engine: Engine, request_ids: Sequence[str], timeout: float | None
) -> Iterator[RequestRecord]:
    """Each of these requests as soon as it has ended. Raises ResultTimeout if none of them ends for so many seconds,
    ResultUnavailable, and RequestNotFound."""
    turns = Turns(request_ids, timeout)
    while turns.waiting:
        ended = ended_of(engine, turns.waiting)
        yield from ended
        time.sleep(turns.pause_after([record.id for record in ended]))


def _looked_up(engine: Engine, request_id: str, query: Callable[[Connection], T]) -> T:
    """What a query finds. Raises ResultUnavailable, for this request, if the database is away."""

    def look() -> T:
        with ledger_transaction(engine) as connection:
            return query(connection)

    try:
        return twice(look)
    except DatabaseUnavailable as error:
        raise ResultUnavailable(request_id=request_id, reason=error.message) from error


def _progress(record: RequestRecord | None) -> dict[str, Any]:
    """How far a request is that has not finished; a last error only if it is to be tried again."""
    if record is None:
        return {"status": "unknown"}
    told: dict[str, Any] = {"status": record.status, "attempts": record.attempts}
    if record.error is not None:
        told["last_error"] = record.error
    if record.next_attempt_at is not None:
        told["next_attempt_at"] = record.next_attempt_at.astimezone(UTC).isoformat()
    return told
