"""What PostgreSQL says when it refuses, in our words: SQLSTATE to errors, at the edge that meets them."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from release_worker.domain.canonical_json import DEEPEST
from release_worker.errors import (
    DatabaseUnavailable,
    OperationTimeout,
    ReleaseWorkerError,
    UnsupportedContent,
    VersionConflict,
)

# Another transaction was first. A unique violation can only be a race: numbers and contents are looked up before they
# are written, in the same snapshot. https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICTS = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "23505": "unique violation",
    "23503": "a row that this refers to was deleted meanwhile",
    "55P03": "lock not available",
}
# Our own, raised by the functions of migration 0010 with the place as its detail.
_TOO_DEEP = "RW001"
# The connection or the server is going away, or is not there yet, or not ready for us: an operator is at work.
_UNAVAILABLE_CLASSES = ("08", "28", "3D", "53", "57", "58")
_UNAVAILABLE = {
    "25P03": "the session was idle in a transaction for too long",
    "42501": "the role lacks a privilege: see release-worker db grants",
    "42P01": "a table is missing: run release-worker db upgrade",
    "42703": "a column is missing: run release-worker db upgrade",
    "42883": "a function is missing: run release-worker db upgrade",
}


@contextmanager
def translated() -> Iterator[None]:
    """Turn SQLAlchemy's errors into VersionConflict and DatabaseUnavailable; others are bugs and pass unchanged."""
    try:
        yield
    except exc.DBAPIError as error:
        ours = translate(error)
        if ours is None:
            raise
        raise ours from error
    except exc.TimeoutError as error:  # the pool has no connection to give
        raise DatabaseUnavailable(reason="no free connection in the pool") from error


def translate(error: exc.DBAPIError) -> ReleaseWorkerError | None:
    """The error of ours that `error` stands for, None where there is none."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state in _CONFLICTS:
        return VersionConflict(reason=_CONFLICTS[state], sqlstate=state)
    if state == _TOO_DEEP:
        place: str = getattr(getattr(error.orig, "diag", None), "message_detail", None) or "a part of it"
        return UnsupportedContent(reason=f"{place} is nested more than {DEEPEST} levels deep", place=place)
    if state == "54001":
        return UnsupportedContent(reason="nested too deeply")
    if state == "57014":  # its statement_timeout, or somebody cancelled it
        return OperationTimeout()
    if state in _UNAVAILABLE:
        return DatabaseUnavailable(reason=_UNAVAILABLE[state], sqlstate=state)
    # Without a state: never connected, or the socket broke.
    broken = state is None and isinstance(error, (exc.OperationalError, exc.InterfaceError))
    if broken or error.connection_invalidated or (state or "")[:2] in _UNAVAILABLE_CLASSES:
        return DatabaseUnavailable(reason=_first_line(error), sqlstate=state)
    return None


def without_values(error: Exception) -> Exception:
    """The error as it may be logged and stored: past its first line, PostgreSQL quotes rows."""
    if not isinstance(error, exc.DBAPIError):
        return error
    shown = RuntimeError(f"{type(error.orig).__name__}: {_first_line(error)}")
    return shown.with_traceback(error.__traceback__)


def _first_line(error: exc.DBAPIError) -> str:
    return (str(error.orig).splitlines() or ["connection lost"])[0][:300]
