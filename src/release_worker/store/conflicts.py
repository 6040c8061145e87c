"""What PostgreSQL says when it refuses, in our words: SQLSTATE to errors, at the edge that meets them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from release_worker.domain.canonical_json import DEEPEST
from release_worker.errors import (
    DatabaseUnavailable,
    IdempotencyConflict,
    OperationTimeout,
    ReleaseWorkerError,
    UnsupportedContent,
    VersionConflict,
)
from release_worker.store.owners.relations import TOOLSET

# Another transaction was first. A unique violation can only be a race: numbers and contents are looked up before they
# are written, in the same snapshot. https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "23505": "unique violation",
    "23503": "a row that this refers to was deleted meanwhile",
}
_BUSY = "55P03"  # lock_not_available
# In PostgreSQL's words about a row that is held; the word before the name depends on its language.
_NAMED = re.compile(r'["„“«](\w+)["“”»]')
# Our own, raised by the functions of migration 0010 with the place as its detail.
_TOO_DEEP = "RW001"
# Our own, raised by the door for an id that a request has which its caller may not know of.
_USED = "RW003"
_USED_ID = re.compile(r"request id (.+) is used already", re.DOTALL)
# The connection or the server is going away, or is not there yet, or not ready for us: an operator is at work.
_UNAVAILABLE_CLASSES = ("08", "28", "3D", "53", "57", "58")
# A prepared statement is not there, or was there already; the next connection knows none.
_LOST_STATEMENT = ("26000", "42P05")
_BEHIND_A_POOLER = "behind a pooler, set RELEASE_WORKER_PREPARED_STATEMENTS to false"
_UNAVAILABLE = {
    "25P03": "the session was idle in a transaction for too long",
}
_UPGRADE_THERE = "if RELEASE_WORKER_SCHEMA is right, run release-worker db upgrade"
# The schema is not ours yet, or not for this role; said after PostgreSQL's own words.
_NOT_READY = {
    "42P01": _UPGRADE_THERE,
    "42703": "run release-worker db upgrade",
    "42883": _UPGRADE_THERE,
    "3F000": _UPGRADE_THERE,
}
_LACKS_PRIVILEGE = "42501"
# Said when a connection is refused, without an SQLSTATE.
_NO_DATABASE = re.compile(r'database "([^"]+)" does not exist')
# What SQLAlchemy meets in a statement and in its parameters: a mistake of whoever wrote them.
_OF_THE_STATEMENT = (exc.SQLAlchemyError, TypeError, ValueError, LookupError, AttributeError)
_EXEMPT = "it would hide rows, so give the worker's role BYPASSRLS, or the table no such policy"


@contextmanager
def translated(role: str | None = None) -> Iterator[None]:
    """Turn SQLAlchemy's errors into ours, as `translate` does; others are bugs and pass unchanged.

    `role` is the database role of the connection, to be named if it lacks a privilege.
    """
    try:
        yield
    except exc.DBAPIError as error:
        ours = translate(error, role)
        if ours is None:
            raise
        raise ours from error
    except exc.StatementError as error:
        # A time limit that strikes while SQLAlchemy prepares a statement, it takes for an error of that.
        if error.orig is None or isinstance(error.orig, _OF_THE_STATEMENT):
            raise
        raise error.orig from None
    except exc.TimeoutError as error:  # the pool has no connection to give
        raise DatabaseUnavailable(reason="no free connection in the pool") from error


def translate(error: exc.DBAPIError, role: str | None = None) -> ReleaseWorkerError | None:
    """The error of ours that `error` stands for; None if there is none."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state in _CONFLICTS:
        return VersionConflict(reason=_CONFLICTS[state], sqlstate=state)
    if state == _BUSY:
        return _held_by_another(error)
    if state == _TOO_DEEP:
        place: str = getattr(getattr(error.orig, "diag", None), "message_detail", None) or "a part of it"
        return UnsupportedContent(reason=f"{place} is nested more than {DEEPEST} levels deep", place=place)
    if state == _USED:
        return _used_already(error)
    if state == "54001":
        return UnsupportedContent(reason="nested too deeply")
    if state == "57014":  # its statement_timeout, or somebody cancelled it
        return OperationTimeout()
    return _unavailable(error, state, role)


def _unavailable(error: exc.DBAPIError, state: str | None, role: str | None) -> DatabaseUnavailable | None:
    if lost_a_statement(error):
        hint = f": {_BEHIND_A_POOLER}" if state in _LOST_STATEMENT else ""
        return DatabaseUnavailable(reason=f"{first_line(error)}{hint}", sqlstate=state)
    if state in _UNAVAILABLE:
        return DatabaseUnavailable(reason=_UNAVAILABLE[state], sqlstate=state)
    if state == _LACKS_PRIVILEGE:
        return _refused(error, role)
    if state in _NOT_READY:
        return DatabaseUnavailable(reason=f"{first_line(error)}: {_NOT_READY[state]}", sqlstate=state)
    if state is None and (missing := _NO_DATABASE.search(str(error.orig))):
        reason = f"the database {missing[1]} does not exist"
        return DatabaseUnavailable(reason, reason=reason, sqlstate="3D000")
    # Without a state: never connected, or the socket broke.
    broken = state is None and isinstance(error, (exc.OperationalError, exc.InterfaceError))
    if broken or error.connection_invalidated or (state or "")[:2] in _UNAVAILABLE_CLASSES:
        return DatabaseUnavailable(reason=first_line(error), sqlstate=state)
    return None


def _used_already(error: exc.DBAPIError) -> IdempotencyConflict:
    """What the other request asks for, and of whose toolset, is not told."""
    message: str = getattr(getattr(error.orig, "diag", None), "message_primary", None) or first_line(error)
    found = _USED_ID.fullmatch(message)
    used = None if found is None else found[1]
    return IdempotencyConflict(message, idempotency_key=used, request_id=used, differing=["toolset"])


def _held_by_another(error: exc.DBAPIError) -> VersionConflict:
    """PostgreSQL names the relation in its message if it did not wait, and in its context if it waited in vain."""
    diagnostics = getattr(error.orig, "diag", None)
    said = (getattr(diagnostics, part, None) or "" for part in ("message_primary", "context"))
    found = next(filter(None, map(_NAMED.search, said)), None)
    relation = None if found is None else found[1]
    if relation is None:
        row = "something that is needed"
    elif relation == TOOLSET.name:
        row = "the toolset's row"
    else:
        row = f"a row of {relation}"
    reason = f"{row} is held by another transaction"
    return VersionConflict(reason, reason=reason, sqlstate=_BUSY, relation=relation)


def _refused(error: exc.DBAPIError, role: str | None) -> DatabaseUnavailable:
    """It stays so until somebody grants the privilege; the request is then tried again."""
    if _hides_rows(error):
        return DatabaseUnavailable(reason=f"{first_line(error)}: {_EXEMPT}", sqlstate=_LACKS_PRIVILEGE)
    named = "the database role" if role is None else f"the database role {role}"
    reason = f"{named} lacks a privilege: {first_line(error)}"
    return DatabaseUnavailable(reason, reason=reason, sqlstate=_LACKS_PRIVILEGE)


def lost_a_statement(error: exc.DBAPIError) -> bool:
    """What the connection has prepared is of no use: lost behind a pooler, or made for a table that was altered."""
    return getattr(error.orig, "sqlstate", None) in _LOST_STATEMENT or _said_by("RevalidateCachedQuery", error)


def _hides_rows(error: exc.DBAPIError) -> bool:
    """It is PostgreSQL's answer to `row_security = off`."""
    return _said_by("check_enable_rls", error)


def _said_by(function: str, error: exc.DBAPIError) -> bool:
    """PostgreSQL's words depend on its language, the names of its functions do not."""
    return getattr(getattr(error.orig, "diag", None), "source_function", None) == function


def without_values(error: Exception) -> Exception:
    """The error as it may be logged and stored: past its first line, PostgreSQL quotes rows."""
    if not isinstance(error, exc.DBAPIError):
        return error
    shown = RuntimeError(f"{type(error.orig).__name__}: {first_line(error)}")
    return shown.with_traceback(error.__traceback__)


def first_line(error: exc.DBAPIError) -> str:
    """What PostgreSQL says, without the lines in which it quotes rows and our statement."""
    return (str(error.orig).splitlines() or ["connection lost"])[0][:300]
