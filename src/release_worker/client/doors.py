"""The transaction of a caller, on whatever connection the caller has: each of them is a door for the same statement.

A session says when it has committed, and then the client publishes. A plain connection does not: its requests are
announced to workers by PostgreSQL, with the commit, and a worker publishes them.
"""

import re
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn, Protocol

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import scalar_row
from psycopg.sql import Identifier
from sqlalchemy import Connection, TwoPhaseTransaction, event
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from release_worker.errors import BrokerUnavailable, InvalidRequest
from release_worker.store.statements import in_schema, join, parsed

_WAITING = "release_worker_waiting"  # in `Session.info`: what to publish after the commit
_PLACE = re.compile(r"(?<!:):(\w+)")


class OpenTransaction(Protocol):
    """The transaction that a request was made in, and perhaps is still to be committed."""

    def is_open(self) -> bool:
        """Whether it has not ended yet."""

    def refuse_to_wait_for_it(self) -> None:
        """Raises InvalidRequest in its own thread, which cannot end it while it waits."""


class Door(ABC):
    """A caller's transaction."""

    announced: bool = True  # nobody says here when it has committed, so PostgreSQL tells the workers

    @abstractmethod
    def answers(self, statement: str, parameters: Mapping[str, Any]) -> list[str]:
        """What a statement of ours answers, such as `ACCEPT`: a text in each row."""

    @abstractmethod
    def transaction(self) -> OpenTransaction:
        """The transaction that it is in."""

    def after_commit(self, publish: Callable[[], None]) -> None:
        """Call `publish` once when the transaction has committed, and never if it ends otherwise."""
        raise NotImplementedError("what is announced is published by a worker")


def door_of(session: object, schema: str) -> Door:
    """The door of a caller's session or connection; our tables are in `schema`. Raises InvalidRequest for what cannot
    be joined."""
    if isinstance(session, Door):
        return session
    if isinstance(session, psycopg.Connection):
        return PsycopgDoor(session, schema)
    session = session() if isinstance(session, scoped_session) else session
    connection = joined(session, schema)
    if isinstance(session, Session) and not isinstance(session.get_bind(), Connection):
        return SessionDoor(session, connection)
    # A session on a connection of its caller's may commit before that does, and not tell of the latter.
    return ConnectionDoor(connection)


def joined(session: object, schema: str) -> Connection:
    """SQLAlchemy's connection of a caller's session, or that connection itself, in its transaction; our tables are in
    `schema`. Raises InvalidRequest for what cannot be joined."""
    session = session() if isinstance(session, scoped_session) else session
    if not isinstance(session, Session | Connection):
        kind = type(session).__name__
        instead = "; AsyncReleaseClient takes that" if kind.startswith("Async") else ""
        of = type(session).__module__.partition(".")[0]  # a Connection is not only SQLAlchemy's
        raise refused(f"it must be a Session or a Connection of SQLAlchemy, not {of}'s {kind}{instead}")
    connection = session.connection() if isinstance(session, Session) else session
    prepared = isinstance(connection.get_transaction(), TwoPhaseTransaction)
    if prepared or (isinstance(session, Session) and session.twophase):
        raise refused("it must not use two-phase commit: a request cannot be published when it is only prepared")
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise refused(NOTHING_TO_JOIN)
    return join(connection, schema)


NOTHING_TO_JOIN = "it must not be in AUTOCOMMIT: it has no transaction to join"


def refused(problem: str) -> InvalidRequest:
    """The error for a session or a connection that cannot be joined."""
    return InvalidRequest(f"session: {problem}", problems=[{"field": "session", "problem": problem}])


def say_that_it_must_commit() -> NoReturn:
    """Raises InvalidRequest: nobody but who waits could end the transaction."""
    problem = "commit the transaction that made this request first"
    raise InvalidRequest(problem, problems=[{"field": "session", "problem": problem}])


def for_driver(statement: str, schema: str) -> bytes:
    """A statement of ours as a driver of PostgreSQL takes it, with `%(places)s`."""
    named = in_schema(statement, Identifier(schema).as_string(None).replace("%", "%%"))
    return _PLACE.sub(r"%(\1)s", named).encode()


class ConnectionDoor(Door):
    """A connection of SQLAlchemy's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def answers(self, statement: str, parameters: Mapping[str, Any]) -> list[str]:
        return list(self._connection.execute(parsed(statement), parameters).scalars())

    def transaction(self) -> OpenTransaction:
        return TransactionOfSqlAlchemy(self._connection)


class SessionDoor(ConnectionDoor):
    """A session of SQLAlchemy's ORM."""

    announced = False

    def __init__(self, session: Session, connection: Connection) -> None:
        super().__init__(connection)
        self._session = session

    def after_commit(self, publish: Callable[[], None]) -> None:
        """A savepoint that is rolled back may undo the request and leave the rest: its message then finds no row, and
        the worker drops it. If `publish` raises BrokerUnavailable, the commit stands, and the other messages are not
        tried: a caller with many requests waits for the broker once."""
        waiting: list[Callable[[], None]] | None = self._session.info.get(_WAITING)
        if waiting is None:
            waiting = self._session.info[_WAITING] = []
            event.listen(self._session, "after_commit", _publish_waiting)
            event.listen(self._session, "after_transaction_end", _forget_waiting)
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


class PsycopgDoor(Door):
    """A plain connection of psycopg."""

    def __init__(self, connection: "psycopg.Connection[Any]", schema: str) -> None:
        refuse_autocommit(connection)
        self._connection = connection
        self._schema = schema

    def answers(self, statement: str, parameters: Mapping[str, Any]) -> list[str]:
        # (the caller's own class of cursors may take other places for parameters)
        with psycopg.Cursor(self._connection, row_factory=scalar_row) as cursor:
            return list(cursor.execute(for_driver(statement, self._schema), parameters))

    def transaction(self) -> OpenTransaction:
        return TransactionOfPsycopg(self._connection)


def refuse_autocommit(connection: "psycopg.Connection[Any] | psycopg.AsyncConnection[Any]") -> None:
    """Raises InvalidRequest for a connection on which each statement commits by itself."""
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise refused(NOTHING_TO_JOIN)


class _OfThread:
    """A transaction, and the thread that began it; does not keep it from ending."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()

    def refuse_to_wait_for_it(self) -> None:
        if self._thread == threading.get_ident():
            say_that_it_must_commit()


class TransactionOfSqlAlchemy(_OfThread):
    """The transaction that a connection of SQLAlchemy's is in."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        transaction = connection.get_transaction()
        self._known = None if transaction is None else weakref.ref(transaction)

    def is_open(self) -> bool:
        found = None if self._known is None else self._known()
        return found is not None and found.is_active


class TransactionOfPsycopg(_OfThread):
    """The transaction that a connection of psycopg is in, or a later one of the same connection: it does not tell them
    apart."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        super().__init__()
        self._known = weakref.ref(connection)

    def is_open(self) -> bool:
        found = self._known()
        return found is not None and found.info.transaction_status not in (
            TransactionStatus.IDLE,
            TransactionStatus.UNKNOWN,  # it is closed
        )
