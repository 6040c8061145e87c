"""What holds in every transaction of a worker: the toolset is held, nobody is waited for without end."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from release_worker.embedded.process import eventually
from release_worker.errors import DatabaseUnavailable
from release_worker.state.registry import Registry
from release_worker.store.engine import make_engine
from tests.support.billing import a_full_toolset
from tests.support.kinds import CARRIED_OUT
from tests.support.ledger import LATER, ask, ledger, mailbox, statuses
from tests.support.operations import release, roll_back
from tests.support.plug_ins import Interruption, Once, interrupted_by, raising, with_plug_ins
from tests.support.readiness import ready_for
from tests.support.retention import pin, prune
from tests.support.world import Toolset

MINUTE = 60_000  # milliseconds
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def somebody_waits(engine: Engine) -> bool:
    """Looked at in a transaction of its own: PostgreSQL shows each transaction the same activity throughout."""
    with engine.connect() as connection:
        return bool(connection.execute(text(WAITING)).scalar_one())


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def is_held(engine: Engine, toolset: Toolset) -> bool:
    """Whether another transaction would have to wait for the toolset."""
    with engine.connect() as connection:
        try:
            take = text("SELECT id FROM toolsets WHERE id = :id FOR NO KEY UPDATE NOWAIT")
            connection.execute(take, {"id": toolset.id})
        except OperationalError:
            return True
    return False


@pytest.mark.parametrize("operation", ["a release", "a release if changed", "a rollback"])
def test_an_operation_that_writes_holds_its_toolset_and_no_other(
    engine: Engine, billing: Toolset, operation: str
) -> None:
    """Held is what a capture is about to be written for, long before the first row of it is."""
    other = billing.project.toolset("other")
    release(engine, billing)
    billing.edit(settings={"edited": True})
    held: list[tuple[bool, bool]] = []

    def look() -> None:
        held.append((is_held(engine, billing), is_held(engine, other)))

    if operation == "a rollback":
        roll_back(engine, billing, 1, registry=interrupted_by(look))
    else:
        release(engine, billing, registry=interrupted_by(look), only_if_changed="if" in operation)
        assert held[0] == (True, False)
    assert held[-1] == (True, False)


WRITES: Mapping[str, Callable[[Engine, Toolset], object]] = {
    "a release": lambda engine, billing: release(engine, billing, attempts=5),
    "a rollback": lambda engine, billing: roll_back(engine, billing, 1, attempts=5),
    "a pin": lambda engine, billing: pin(engine, billing, 1),
    "a prune": lambda engine, billing: prune(engine, billing, keep=1),
}


@pytest.mark.parametrize("other", WRITES)
def test_whatever_is_to_write_waits_for_a_release_that_has_only_begun(
    engine: Engine, billing: Toolset, other: str
) -> None:
    release(engine, billing)
    billing.edit(settings={"edited": True})
    others: list[Future[object]] = []
    with ThreadPoolExecutor(1) as pool:

        def ask_for_another() -> None:
            others.append(pool.submit(WRITES[other], engine, billing))
            assert eventually(lambda: somebody_waits(engine) or others[0].done(), within=30)
            assert not others[0].done()

        assert release(engine, billing, registry=interrupted_by(Once(ask_for_another))).release_number == 2
        others[0].result(timeout=30)


class WaitsForTheApp(Interruption):
    """Its content is a lock that an app holds."""

    def capture(self) -> str:
        self.action()
        return "(SELECT to_jsonb(pg_advisory_xact_lock(7)::text))"


def test_a_deadlock_is_no_failure_the_work_is_done_again(engine: Engine, database_url: str, billing: Toolset) -> None:
    """A worker holds the toolset and waits for an app, which waits for the toolset: PostgreSQL ends the worker's
    transaction, which notices first here."""
    with engine.begin() as connection:
        connection.execute(
            text("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 5', current_database()); END $$")
        )
    worker, seen = make_engine(database_url), list[str]()
    event.listen(worker, "handle_error", lambda context: seen.append(context.original_exception.sqlstate))

    def app() -> None:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL deadlock_timeout = '1h'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(7)"))
            connection.execute(text("SELECT id FROM toolsets WHERE id = :id FOR UPDATE"), {"id": billing.id})

    with ThreadPoolExecutor(1) as pool:

        def let_the_app_wait() -> None:
            apps.append(pool.submit(app))
            assert eventually(lambda: somebody_waits(engine), within=30)

        apps: list[Any] = []
        components = with_plug_ins(WaitsForTheApp(Once(let_the_app_wait)))
        done = mailbox(worker, registry=components).work_until_done(ask(engine, billing))
        apps[0].result(timeout=30)
    worker.dispose()
    assert "40P01" in seen
    assert (done.status, done.attempts) == ("succeeded", 1)


def log_idle_timeouts(engine: Engine) -> Callable[[], dict[tuple[str, str], int]]:
    """From now on, how long, in milliseconds, a transaction that ends a request's attempt may stay idle, by the
    request's kind and its new status."""
    statements = """
        CREATE TABLE seen (kind text, status text, timeout int, UNIQUE (kind, status, timeout));
        CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO seen SELECT NEW.kind, NEW.status, setting::int
            FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout' ON CONFLICT DO NOTHING;
            RETURN NEW;
        END $$;
        CREATE TRIGGER look AFTER UPDATE ON release_requests FOR EACH ROW
        WHEN (OLD.status = 'running' AND NEW.status <> 'running') EXECUTE FUNCTION look()
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(statements)

    def seen() -> dict[tuple[str, str], int]:
        with engine.connect() as connection:
            return {(row.kind, row.status): row.timeout for row in connection.execute(text("TABLE seen"))}

    return seen


def test_a_worker_that_stops_in_the_middle_of_anything_loses_its_session_before_long(
    engine: Engine, billing: Toolset
) -> None:
    timeouts = log_idle_timeouts(engine)
    asked = CARRIED_OUT
    for kind, fields in asked.items():
        fields = {**fields, **ready_for(engine, kind, billing)}
        mailbox(engine).work_until_done(ask(engine, billing, kind, **fields))
    mailbox(engine).work_until_done(ask(engine, billing, "rollback", release_number=99))
    gone: Registry = interrupted_by(raising(DatabaseUnavailable(reason="gone")))
    with pytest.raises(DatabaseUnavailable), capture_logs():
        mailbox(engine, retry=LATER, registry=gone).work_until_done(ask(engine, billing))
    assert statuses(engine) == [*["succeeded"] * len(asked), "failed", "queued"]

    found = timeouts()
    assert found.keys() == {
        *((kind, "succeeded") for kind in asked),
        ("rollback", "failed"),
        ("create_release", "queued"),
    }
    assert all(0 < timeout <= MINUTE for timeout in found.values()), found
    assert len(ledger(engine)) == len(asked) + 2
