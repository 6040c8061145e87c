"""A time limit ends the work in the database too, and times in the ledger are those at which things happened."""

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Connection, Dialect, Engine, StaticPool, Text, TypeDecorator, bindparam, create_engine, text
from structlog.testing import capture_logs

from release_worker.domain.limits import DEFAULTS
from release_worker.embedded.process import eventually
from release_worker.errors import OperationTimeout
from release_worker.settings import read_settings
from release_worker.store.engine import (
    ledger_transaction,
    locking_transaction,
    single_statement,
    snapshot_transaction,
)
from release_worker.store.sending import send, settle
from release_worker.worker.runtime import Runtime
from tests.support.billing import a_full_toolset
from tests.support.ledger import ask, mailbox, record
from tests.support.plug_ins import Interruption, interrupted_by, with_plug_ins
from tests.support.records import releases_of
from tests.support.servers import Servers

ENDLESS = "SELECT pg_sleep(600)"


def endless_statements(engine: Engine) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


@contextmanager
def soft_time_limit(engine: Engine) -> Iterator[None]:
    """What Celery does to a task that takes too long: an exception, from a signal, wherever the main thread is.

    It comes when PostgreSQL is at work on the endless statement, seen on a connection that nothing else uses.
    """
    watching = create_engine(engine.url, poolclass=StaticPool)
    endless_statements(watching)  # which connects

    def strike(_signal: int, _frame: FrameType | None) -> None:
        if endless_statements(watching):
            raise SoftTimeLimitExceeded
        signal.setitimer(signal.ITIMER_REAL, 0.05)

    before = signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        watching.dispose()


class Endless(Interruption):
    """Content that never comes."""

    def capture(self) -> str:
        return "(SELECT CAST(NULL AS jsonb) FROM pg_sleep(600))"


TRANSACTIONS: list[Callable[[Engine], AbstractContextManager[Connection]]] = [
    locking_transaction,
    snapshot_transaction,
    ledger_transaction,
    single_statement,
]


@pytest.mark.parametrize("transaction", TRANSACTIONS)
def test_a_statement_that_a_time_limit_interrupts_ends_in_postgresql(
    engine: Engine, transaction: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    with pytest.raises(SoftTimeLimitExceeded), soft_time_limit(engine), transaction(engine) as connection:
        connection.exec_driver_sql(ENDLESS)
    assert eventually(lambda: endless_statements(engine) == 0, within=30)
    with transaction(engine) as connection:  # the pool has a connection that works
        assert connection.execute(text("SELECT 1")).scalar_one() == 1


class Late(TypeDecorator[str]):
    """Of a value at which the time is over, before the statement is sent."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str:
        raise SoftTimeLimitExceeded


@pytest.mark.parametrize("transaction", TRANSACTIONS)
def test_a_time_limit_that_strikes_before_a_statement_is_sent_is_no_error_of_the_statement(
    engine: Engine, transaction: Callable[[Engine], AbstractContextManager[Connection]]
) -> None:
    with pytest.raises(SoftTimeLimitExceeded), transaction(engine) as connection:
        connection.execute(text("SELECT :value").bindparams(bindparam("value", "x", Late)))


ENDINGS: list[Callable[[Connection], object]] = [settle, lambda connection: send(connection, "SELECT 1", {})]


@pytest.mark.parametrize("ending", ENDINGS, ids=["waiting", "sending"])
def test_what_was_sent_and_not_waited_for_ends_in_postgresql_too(
    engine: Engine, caplog: pytest.LogCaptureFixture, ending: Callable[[Connection], object]
) -> None:
    def work(connection: Connection) -> None:
        send(connection, ENDLESS, {})
        while True:
            ending(connection)

    with pytest.raises(SoftTimeLimitExceeded), soft_time_limit(engine), locking_transaction(engine) as connection:
        work(connection)
    assert eventually(lambda: endless_statements(engine) == 0, within=30)
    with locking_transaction(engine) as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    gc.collect()
    assert caplog.messages == []


def test_an_operation_that_a_time_limit_interrupts_gives_its_locks_back_and_is_tried_again(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    asked = ask(engine, billing)
    slow = with_plug_ins(Endless(print))
    with pytest.raises(OperationTimeout), soft_time_limit(engine), capture_logs():
        mailbox(engine, registry=slow).work_until_done(asked)
    assert record(engine, asked).status == "queued"
    assert eventually(lambda: endless_statements(engine) == 0, within=30)
    assert mailbox(engine).work_until_done(asked).status == "succeeded"
    assert len(releases_of(engine, billing)) == 1


def statement_timeout(transaction: Callable[[Engine], AbstractContextManager[Connection]], engine: Engine) -> str:
    with transaction(engine) as connection:
        return str(connection.execute(text("SHOW statement_timeout")).scalar_one())


def test_postgresql_ends_a_statement_itself_before_the_soft_time_limit(
    engine: Engine, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_WORKER_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("RELEASE_WORKER_BROKER_URL", servers.broker_url)
    monkeypatch.setenv("RELEASE_WORKER_SOFT_TIME_LIMIT", "75")
    runtime = Runtime(read_settings())
    for transaction in (locking_transaction, snapshot_transaction, ledger_transaction):
        assert statement_timeout(transaction, engine) == f"{DEFAULTS.statement_timeout:g}s"
        assert statement_timeout(transaction, runtime._engine) == "65s"
    runtime.close()


def test_a_statement_that_postgresql_ended_is_an_operation_that_took_too_long(engine: Engine) -> None:
    with pytest.raises(OperationTimeout), locking_transaction(engine) as connection:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '10ms'; {ENDLESS}")


def test_the_end_of_a_request_is_when_it_ended_and_not_when_its_transaction_began(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    asked = ask(engine, billing)
    ticks: list[float] = []

    def take_a_moment() -> None:
        time.sleep(0.3)
        ticks.append(time.time())

    mailbox(engine, registry=interrupted_by(take_a_moment)).work_until_done(asked)
    done = record(engine, asked)
    [made] = releases_of(engine, billing)
    assert done.finished_at is not None
    assert done.started_at is not None
    assert ticks
    assert done.started_at.timestamp() < ticks[0]
    assert done.finished_at >= made.created_at
    assert (done.finished_at - done.started_at).total_seconds() >= 0.3
