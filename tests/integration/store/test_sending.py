"""Statements that need no answer wait for PostgreSQL together, and are refused in the same words as alone."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Connection, Engine, exc, text

from release_worker.embedded.process import eventually
from release_worker.errors import DatabaseUnavailable, VersionConflict
from release_worker.store import sending
from release_worker.store.engine import locking_transaction, make_engine
from release_worker.store.sending import send, settle
from tests.support.round_trips import round_trips

PREPARED_AFTER = 5  # uses of a statement on a connection
AROUND = 2  # begin, commit
PUT = "INSERT INTO things VALUES (CAST(:n AS int))"
DOUBLE = "UPDATE things SET n = 2 * n"
READ = text("SELECT n FROM things ORDER BY n")


@pytest.fixture
def worker(engine: Engine) -> Iterator[Engine]:
    """One connection, so that it is seen in which state it was left."""
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (n int PRIMARY KEY)"))
    made = make_engine(engine.url.render_as_string(hide_password=False), pool_size=1)
    with made.connect() as connection:
        connection.execute(READ)
    yield made
    made.dispose()


def things(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(READ).scalars())


def backend(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def in_a_transaction(engine: Engine, work: Callable[[Connection], object]) -> None:
    with locking_transaction(engine) as connection:
        work(connection)


def refused(engine: Engine, work: Callable[[Connection], object]) -> VersionConflict:
    with pytest.raises(VersionConflict) as conflict:
        in_a_transaction(engine, work)
    return conflict.value


def test_what_was_sent_waits_once_with_what_is_executed_and_each_sees_what_was_before(worker: Engine) -> None:
    with round_trips(worker) as waited, locking_transaction(worker) as connection:
        send(connection, PUT, {"n": 1})
        send(connection, DOUBLE, {})
        assert connection.execute(READ).scalars().all() == [2]
        send(connection, PUT, {"n": 5})
        send(connection, DOUBLE, {})
        assert connection.execute(text(DOUBLE)).rowcount == 2
    assert waited.number == AROUND + 2
    assert things(worker) == [8, 20]


def test_in_a_transaction_of_others_each_is_waited_for(worker: Engine) -> None:
    with round_trips(worker) as waited, worker.begin() as connection:
        send(connection, PUT, {"n": 1})
        send(connection, DOUBLE, {})
    assert waited.number == AROUND + 2
    assert things(worker) == [2]


def test_with_a_psycopg_that_was_not_tried_each_is_waited_for(worker: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "_TRIED", False)
    with round_trips(worker) as waited, locking_transaction(worker) as connection:
        send(connection, PUT, {"n": 1})
        send(connection, DOUBLE, {})
    assert waited.number == AROUND + 2
    assert things(worker) == [2]


def test_the_psycopg_of_these_tests_was_tried() -> None:
    assert sending._TRIED, "try it: then raise the bound in store/sending.py"


def send_much(connection: Connection) -> None:
    for n in range(2, 500):
        send(connection, PUT, {"n": n})


ENDINGS: dict[str, Callable[[Connection], object]] = {
    "something is executed": lambda connection: connection.execute(READ),
    "something else is sent": send_much,
    "it is settled": settle,
    "nothing comes before the commit": lambda _: None,
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_refusal_is_raised_before_the_commit_whatever_comes_next(worker: Engine, ending: str) -> None:
    used = backend(worker)

    def send_twice(connection: Connection) -> None:
        send(connection, PUT, {"n": 1})
        send(connection, PUT, {"n": 1})
        ENDINGS[ending](connection)

    assert refused(worker, send_twice).details == {"reason": "unique violation", "sqlstate": "23505"}
    assert things(worker) == []
    assert backend(worker) == used, "the connection is as good as before"


def test_a_refusal_of_what_is_executed_is_raised_too(worker: Engine) -> None:
    def send_and_execute(connection: Connection) -> None:
        send(connection, PUT, {"n": 1})
        connection.execute(text("INSERT INTO things VALUES (1)"))

    assert refused(worker, send_and_execute).details["sqlstate"] == "23505"
    assert things(worker) == []


def test_an_error_of_our_own_after_something_was_sent_commits_nothing(worker: Engine) -> None:
    def send_and_raise(connection: Connection) -> None:
        send(connection, PUT, {"n": 1})
        raise VersionConflict(reason="a reason")

    assert refused(worker, send_and_raise).details == {"reason": "a reason"}
    assert things(worker) == []


def test_a_worker_that_is_stopped_after_it_has_sent_loses_its_session(worker: Engine, engine: Engine) -> None:
    """And the locks of what was carried out; PostgreSQL begins to count when it knows that nothing else comes."""
    used = backend(worker)

    def is_gone() -> bool:
        query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        with engine.connect() as connection:
            return bool(connection.execute(query, {"pid": used}).scalar_one() == 0)

    def send_and_stop(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '100ms'")
        send(connection, PUT, {"n": 1})
        assert eventually(is_gone, within=20)

    with pytest.raises(DatabaseUnavailable):
        in_a_transaction(worker, send_and_stop)
    assert things(worker) == []


class Struck(psycopg.Pipeline):
    """Interrupted, as by a signal, when pipeline mode has begun, or before the wait that ends it."""

    interruption: type[BaseException]
    entering: bool

    def __enter__(self) -> "Struck":
        super().__enter__()
        if self.entering:
            raise self.interruption
        return self

    def _exit_gen(self) -> Any:
        if not self.entering:
            raise self.interruption
        return super()._exit_gen()


@pytest.mark.parametrize("interruption", [SoftTimeLimitExceeded, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("entering", [True, False], ids=["as it begins", "as it is waited for"])
def test_an_interruption_passes_as_it_is_and_leaves_no_connection_in_pipeline_mode(
    worker: Engine, monkeypatch: pytest.MonkeyPatch, entering: bool, interruption: type[BaseException]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("psycopg.connection.Pipeline", Struck)
        patched.setattr(Struck, "interruption", interruption, raising=False)
        patched.setattr(Struck, "entering", entering, raising=False)
        with pytest.raises(interruption):
            in_a_transaction(worker, lambda connection: send(connection, PUT, {"n": 1}))
    with locking_transaction(worker) as connection:
        send(connection, PUT, {"n": 2})
    assert things(worker) == [2]


@pytest.mark.parametrize("uses", range(PREPARED_AFTER + 2))
def test_a_statement_that_was_not_carried_out_after_a_refusal_is_sent_again_later(worker: Engine, uses: int) -> None:
    """At one of these uses it was to be prepared, and was not."""

    def send_after_a_refusal(connection: Connection) -> None:
        send(connection, "SELECT 1 / 0", {})
        send(connection, PUT, {"n": uses})
        settle(connection)

    for n in range(uses):
        with locking_transaction(worker) as connection:
            send(connection, PUT, {"n": n})
    with pytest.raises(exc.DataError, match="division by zero"):
        in_a_transaction(worker, send_after_a_refusal)
    with locking_transaction(worker) as connection:
        send(connection, PUT, {"n": uses})
    assert things(worker) == list(range(uses + 1))
