"""The database's half of asking: the request's row, and its end. Imported only if there is a database."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, SessionTransaction

from release_worker.client.connections import twice
from release_worker.domain.request_record import RequestRecord
from release_worker.domain.requests.kinds import validate_request
from release_worker.domain.requests.request import Result
from release_worker.domain.subject import ALL_SCOPES, Scope, Subject
from release_worker.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    InvalidRequest,
    RequestNotFound,
    ResultTimeout,
    ResultUnavailable,
)
from release_worker.store.engine import ledger_transaction
from release_worker.store.owners.holding import hold_for_editing
from release_worker.store.requests import ended_requests, get_request
from release_worker.store.statements import join

T = TypeVar("T")

_WAITING = "release_worker_waiting"  # in `Session.info`: what to publish after the commit
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.25  # seconds between looks at the ledger


def joined(session: object, schema: str) -> Connection:
    """The connection of a caller's session, in its transaction; our tables are in `schema`. Raises InvalidRequest for
    what cannot be joined."""
    if not isinstance(session, Session):
        kind = type(session).__name__
        instead = "; use `await session.run_sync(...)`" if "Async" in kind else ""
        raise _refused(f"it must be a sqlalchemy.orm.Session, not {kind}{instead}")
    if session.twophase:
        raise _refused("it must not use two-phase commit: a request cannot be published when it is only prepared")
    connection = session.connection()
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise _refused("it must not be in AUTOCOMMIT: it has no transaction to join")
    return join(connection, schema)


def _refused(problem: str) -> InvalidRequest:
    return InvalidRequest(f"session: {problem}", problems=[{"field": "session", "problem": problem}])


def hold_what_is_edited(
    session: Session, toolset: str, scope: Scope, *, organization: str | None, schema: str
) -> Subject:
    """Hold the owner of this scope in the session's transaction. Raises InvalidRequest and ToolsetNotFound."""
    if scope not in ALL_SCOPES:
        problem = f"must be one of {', '.join(sorted(ALL_SCOPES))}"
        raise InvalidRequest(f"scope: {problem}", problems=[{"field": "scope", "problem": problem}])
    named = validate_request("check_drift", {"toolset": toolset, "organization": organization})
    return hold_for_editing(joined(session, schema), named.toolset, scope, organization=named.organization)


class OpenTransaction:
    """The transaction that a connection is in, and the thread that began it; does not keep it from ending."""

    def __init__(self, connection: Connection) -> None:
        transaction = connection.get_transaction()
        self._known = None if transaction is None else weakref.ref(transaction)
        self._thread = threading.get_ident()

    def is_open(self) -> bool:
        """Whether it has not ended yet."""
        found = None if self._known is None else self._known()
        return found is not None and found.is_active

    def refuse_to_wait_for_it(self) -> None:
        """Raises InvalidRequest in its own thread, which cannot end it while it waits."""
        if self._thread == threading.get_ident():
            problem = "commit the transaction that made this request first"
            raise InvalidRequest(problem, problems=[{"field": "session", "problem": problem}])


def after_commit(session: Session, publish: Callable[[], None]) -> None:
    """Call `publish` once when the session's transaction commits, and never if it ends otherwise.

    A savepoint that is rolled back may undo the request and leave the rest: its message then finds no row, and the
    worker drops it. If `publish` raises BrokerUnavailable, the commit stands, and the other messages are not tried: a
    caller with many requests waits for the broker once.
    """
    waiting: list[Callable[[], None]] | None = session.info.get(_WAITING)
    if waiting is None:
        waiting = session.info[_WAITING] = []
        event.listen(session, "after_commit", _publish_waiting)
        event.listen(session, "after_transaction_end", _forget_waiting)
    waiting.append(publish)


def _publish_waiting(session: Session) -> None:
    if session.in_nested_transaction():  # a savepoint was released, and nothing committed
        return
    waiting = session.info[_WAITING]
    with suppress(BrokerUnavailable):
        while waiting:
            waiting.pop(0)()
    waiting.clear()


def _forget_waiting(session: Session, ended: SessionTransaction) -> None:
    if not ended.nested:
        session.info[_WAITING].clear()


def wait_for_ledger(
    engine: Engine, request_id: str, timeout: float | None, made_in: OpenTransaction | None = None
) -> Result:
    """The result of a request, when the ledger has it. Raises its error, ResultTimeout, ResultUnavailable if the
    database is away, and RequestNotFound if there is no such request. It may yet come while the transaction that it was
    `made_in` is open, but not if this thread has to commit that: InvalidRequest."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = FIRST_PAUSE
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
        time.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)


def in_the_order_of_their_ends(
    engine: Engine, request_ids: Sequence[str], timeout: float | None
) -> Iterator[RequestRecord]:
    """Each of these requests as soon as it has ended. Raises ResultTimeout if none of them ends for so many seconds,
    ResultUnavailable, and RequestNotFound."""
    waiting = dict.fromkeys(request_ids)
    since, pause = time.monotonic(), FIRST_PAUSE
    while waiting:
        first = next(iter(waiting))
        ended = _looked_up(engine, first, lambda connection: ended_requests(connection, list(waiting)))
        for record in ended:
            del waiting[record.id]
            yield record
        if ended:
            since, pause = time.monotonic(), FIRST_PAUSE
            continue
        if timeout is not None and time.monotonic() >= since + timeout:
            message = f"{len(waiting)} of {len(request_ids)} requests have not finished, and none did for {timeout} s"
            raise ResultTimeout(message, request_id=first, timeout=timeout, status="queued or running")
        time.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)


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
