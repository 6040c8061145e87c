"""Connections to PostgreSQL, and the kinds of transaction that the worker uses."""

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, exc, make_url

from release_worker.domain import canonical_json
from release_worker.domain.database import Database
from release_worker.domain.limits import DEFAULTS
from release_worker.errors import NotConfigured
from release_worker.store.conflicts import lost_a_statement, translated
from release_worker.store.sending import TOGETHER, abandon, answer_what_was_sent, settle
from release_worker.store.statements import duration, name_schema

SETTING = "RELEASE_WORKER_DATABASE_URL"
LONGEST_TRUST = 1.0  # seconds for which a connection that lies in the pool is believed to be alive

# The option of an engine that says after how many seconds PostgreSQL ends a statement.
_STATEMENT_TIMEOUT = "release_worker_statement_timeout"

# The bounds are for this transaction only, and travel with its beginning. A worker that is stopped in mid-transaction
# loses its session, and with it the locks that would keep the others out. Row-level security that would hide rows is an
# error: a capture of what is left would be no capture.
_BOUNDS = (
    f"SET LOCAL idle_in_transaction_session_timeout = '{duration(DEFAULTS.idle_in_transaction_timeout)}'; "
    "SET LOCAL statement_timeout = '{statement_timeout}'; SET LOCAL row_security = off"
)
# Statements of operations sort, join and keep the contents of whole toolsets: at 100,000 tools in memory, not in files.
_OPERATION_BOUNDS = (
    f"SET LOCAL lock_timeout = '{duration(DEFAULTS.operation_lock_timeout)}'; {_BOUNDS}; SET LOCAL work_mem = '64MB'"
)
_SNAPSHOT = f"BEGIN ISOLATION LEVEL REPEATABLE READ; {_OPERATION_BOUNDS}"
_LOCKING = f"BEGIN ISOLATION LEVEL READ COMMITTED; {_OPERATION_BOUNDS}"
_LEDGER = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; "
    f"SET LOCAL lock_timeout = '{duration(DEFAULTS.ledger_lock_timeout)}'; {_BOUNDS}"
)


def make_engine(
    database: Database | str,
    *,
    pool_size: int = 5,
    application_name: str = "release_worker",
    prepared_statements: bool = True,
    statement_timeout: float = DEFAULTS.statement_timeout,
) -> Engine:
    """An engine for a database; no connection is opened. Statements of ours name its schema.

    JSON passes as exact text in both directions: decimals as Decimal, never as binary floats. No state is kept in a
    session, so a pooler in transaction mode may stand between; without `prepared_statements`, if it does not keep track
    of those. PostgreSQL ends each statement of a transaction after `statement_timeout` seconds. Raises
    NotConfigured for what is no `postgresql+psycopg://` URL, without a word of it: it may hold a password.
    """
    database = Database.of(database)
    arguments: dict[str, Any] = {"application_name": application_name, "connect_timeout": 10}
    if not prepared_statements:
        arguments["prepare_threshold"] = None
    engine = create_engine(
        _postgresql(database.url),
        module=psycopg,  # imported with this module, before the fork: the worker's children share it
        pool_size=pool_size,
        hide_parameters=True,  # what an error says may be logged, and stored; values are not for that
        json_serializer=canonical_json.dumps,
        json_deserializer=canonical_json.loads,
        connect_args=arguments,
        execution_options={_STATEMENT_TIMEOUT: statement_timeout},
    )
    name_schema(engine, database.schema)
    _ping_after_rest(engine)
    _survive_lost_statements(engine)
    answer_what_was_sent(engine)
    return engine


def _survive_lost_statements(engine: Engine) -> None:
    """A connection that has lost a prepared statement is replaced; psycopg would ask for it again and again.

    psycopg counts its statements from zero on each connection. Behind a pooler, the name of one could then be that of
    another connection's, and another statement would be carried out: names are made unique instead.
    """

    def name_apart(connection: Any, _record: Any) -> None:
        connection._prepared._prepared_idx = secrets.randbits(60)

    def replace(context: ExceptionContext) -> None:
        if isinstance(context.sqlalchemy_exception, exc.DBAPIError) and lost_a_statement(context.sqlalchemy_exception):
            context.is_disconnect, context.invalidate_pool_on_disconnect = True, False

    event.listen(engine, "connect", name_apart)
    event.listen(engine, "handle_error", replace)


def _ping_after_rest(engine: Engine) -> None:
    """Replace connections that died in the pool, as `pool_pre_ping` does, without a round trip for each transaction of
    a busy worker."""

    def rest(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    def wake(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get("rests_since", time.monotonic()) < LONGEST_TRUST:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise exc.DisconnectionError from error

    event.listen(engine, "checkin", rest)
    event.listen(engine, "checkout", wake)


# SQLAlchemy ends the password at the first @, and looks for a host whose name is the rest of it.
_TWO_ATS = re.compile(r"[^:]+://[^:/?#]*:[^@]*@[^?@]*@")


def _postgresql(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        parsed = None
    if _TWO_ATS.match(url) or (parsed is not None and "@" in (parsed.host or "")):
        message = f"{SETTING} has an @ too many: write %40 for each @ of the password"
        raise NotConfigured(message, setting=SETTING)
    if parsed is None or parsed.drivername != "postgresql+psycopg":
        message = f"{SETTING} is not the URL of a PostgreSQL database (postgresql://user:password@host/name)"
        raise NotConfigured(message, setting=SETTING)
    return parsed


@contextmanager
def snapshot_transaction(engine: Engine, *, before: str = "") -> Iterator[Connection]:
    """REPEATABLE READ, for those who only read: every statement sees the state of the same moment, which comes after
    the statement `before`. Whoever reads live state takes a `live_snapshot_transaction`.

    Commits at the end, rolls back on an error. Raises VersionConflict and DatabaseUnavailable.
    """
    with _transaction(engine, f"{_SNAPSHOT}; {before}") as connection:
        yield connection


@contextmanager
def locking_transaction(engine: Engine) -> Iterator[Connection]:
    """READ COMMITTED, for operations that write: what is locked first and read afterwards stays as it was read.

    Commits at the end, rolls back on an error. Raises VersionConflict and DatabaseUnavailable.
    """
    with _transaction(engine, _LOCKING) as connection:
        yield connection


@contextmanager
def ledger_transaction(engine: Engine) -> Iterator[Connection]:
    """READ COMMITTED: a statement that had to wait for a row sees what it waited for; for the ledger and for listings.

    Commits at the end, rolls back on an error. Raises VersionConflict and DatabaseUnavailable.
    """
    with _transaction(engine, _LEDGER) as connection:
        yield connection


@contextmanager
def single_statement(engine: Engine) -> Iterator[Connection]:
    """Each statement is a transaction of its own, committed when it returns: for statements that never wait.

    Raises VersionConflict and DatabaseUnavailable.
    """
    with translated(engine.url.username), engine.connect() as connection, _cancelled_if_left(connection):
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def _transaction(engine: Engine, begin: str) -> Iterator[Connection]:
    with translated(engine.url.username), engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT", **{TOGETHER: True})
        with connection.begin(), _cancelled_if_left(connection):
            bound = connection.get_execution_options().get(_STATEMENT_TIMEOUT, DEFAULTS.statement_timeout)
            connection.exec_driver_sql(begin.format(statement_timeout=duration(bound)))
            yield connection
            settle(connection)


@contextmanager
def _cancelled_if_left(connection: Connection) -> Iterator[None]:
    """End a statement in PostgreSQL too if an exception, such as a time limit, took this process away from it: it would
    go on, and hold its locks. The connection is of no use afterwards, nor is one that was left in pipeline mode."""
    try:
        yield
    except BaseException:
        driver: Any = None if connection.invalidated or connection.closed else connection.connection.dbapi_connection
        if isinstance(driver, psycopg.Connection):
            active = driver.info.transaction_status is TransactionStatus.ACTIVE
            if active:
                with suppress(psycopg.Error):
                    driver.cancel_safe(timeout=DEFAULTS.cancel_timeout)
            if active or driver.info.pipeline_status is not PipelineStatus.OFF:
                abandon(connection)
        raise
