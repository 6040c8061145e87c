"""Connections to PostgreSQL, and the two kinds of transaction that the worker uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import URL, Connection, Engine, create_engine, exc, make_url

from release_worker.domain import canonical_json
from release_worker.errors import NotConfigured
from release_worker.store.conflicts import translated

SETTING = "RELEASE_WORKER_DATABASE_URL"

# For this transaction only. A worker that is stopped in mid-transaction loses its session, and with it the locks that
# would keep the others out. In a snapshot, waiting for a row ends before PostgreSQL looks for deadlocks (after 1 s): it
# is the worker that yields and tries again, not the app that waits for it.
_IDLE = "SET LOCAL idle_in_transaction_session_timeout = '30s'"
_BOUNDS = {
    "REPEATABLE READ": f"SET LOCAL lock_timeout = '500ms'; {_IDLE}",
    "READ COMMITTED": f"SET LOCAL lock_timeout = '10s'; {_IDLE}",
}


def make_engine(url: str, *, pool_size: int = 5, application_name: str = "release_worker") -> Engine:
    """An engine for a `postgresql+psycopg://` URL; no connection is opened.

    JSON passes as exact text in both directions: decimals as Decimal, never as binary floats. No state is kept in a
    session, so a pooler in transaction mode may stand between. Raises NotConfigured for what is no such URL, without
    a word of it: it may hold a password.
    """
    return create_engine(
        _postgresql(url),
        pool_size=pool_size,
        pool_pre_ping=True,
        hide_parameters=True,  # what an error says may be logged, and stored; values are not for that
        json_serializer=canonical_json.dumps,
        json_deserializer=canonical_json.loads,
        connect_args={"application_name": application_name, "connect_timeout": 10},
    )


def _postgresql(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        parsed = None
    if parsed is None or parsed.drivername != "postgresql+psycopg":
        message = f"{SETTING} is not the URL of a PostgreSQL database (postgresql://user:password@host/name)"
        raise NotConfigured(message, setting=SETTING)
    return parsed


@contextmanager
def snapshot_transaction(engine: Engine) -> Iterator[Connection]:
    """REPEATABLE READ: every statement sees the state of one moment, and a change by others is a VersionConflict.

    Commits at the end, rolls back on an error. Raises VersionConflict and DatabaseUnavailable.
    """
    with _transaction(engine, "REPEATABLE READ") as connection:
        yield connection


@contextmanager
def ledger_transaction(engine: Engine) -> Iterator[Connection]:
    """READ COMMITTED: a statement that had to wait for a row sees what it waited for; for the ledger and for listings.

    Commits at the end, rolls back on an error. Raises VersionConflict and DatabaseUnavailable.
    """
    with _transaction(engine, "READ COMMITTED") as connection:
        yield connection


@contextmanager
def _transaction(engine: Engine, isolation: Literal["REPEATABLE READ", "READ COMMITTED"]) -> Iterator[Connection]:
    with translated(), engine.connect() as connection:
        isolated = connection.execution_options(isolation_level=isolation)
        with isolated.begin():
            isolated.exec_driver_sql(_BOUNDS[isolation])
            yield isolated
