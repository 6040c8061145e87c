"""Behind a pooler that gives each transaction another session: with a real PgBouncer that does not track what is
prepared."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.domain.database import Database
from release_worker.errors import DatabaseUnavailable, NotConfigured, TransientError
from release_worker.operations.schema import check_schema, upgrade_schema
from release_worker.settings import read_settings
from release_worker.store.engine import ledger_transaction, make_engine, single_statement
from release_worker.worker.runtime import Runtime
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.ledger import ask, ledger, mailbox, record
from tests.support.live_state import live_state
from tests.support.operations import ACTOR
from tests.support.pgbouncer import Pooler, needs_pgbouncer, pooler
from tests.support.records import releases_of
from tests.support.servers import Servers
from tests.support.world import Toolset

MANY = 10  # uses of a statement: psycopg prepares it after five


@pytest.fixture
def between(database_url: str) -> Iterator[Pooler]:
    with pooler(database_url) as running:
        yield running


@pytest.fixture
def forgetful(database_url: str) -> Iterator[Pooler]:
    """With a new session for each transaction."""
    with pooler(database_url, server_lifetime=0) as running:
        yield running


@needs_pgbouncer
def test_without_prepared_statements_toolsets_are_worked_side_by_side(engine: Engine, between: Pooler) -> None:
    all_succeed_at_the_first_attempt(engine, between)
    assert between.server_connections() > 1


@needs_pgbouncer
def test_without_prepared_statements_each_transaction_may_have_another_session(
    engine: Engine, forgetful: Pooler
) -> None:
    all_succeed_at_the_first_attempt(engine, forgetful)


@needs_pgbouncer
def test_the_schema_is_upgraded_though_each_transaction_has_another_session(forgetful: Pooler) -> None:
    database = Database(forgetful.url, "Rel eases")
    assert upgrade_schema(database, beside_another=True).before is None
    assert check_schema(database).ok


def all_succeed_at_the_first_attempt(engine: Engine, between: Pooler) -> None:
    """Releases and rollbacks of several toolsets at once. What only looks does so elsewhere: a transaction that is
    rolled back makes psycopg forget what it has prepared."""
    unprepared = make_engine(between.url, pool_size=3, prepared_statements=False)
    toolsets = [a_full_toolset(engine, organization=f"org-{number}") for number in range(3)]
    with ThreadPoolExecutor(len(toolsets)) as threads:
        list(threads.map(lambda toolset: release_edit_and_roll_back(unprepared, toolset, direct=engine), toolsets))
    unprepared.dispose()
    assert [(row.status, row.attempts, row.error) for row in ledger(engine)] == [("succeeded", 1, None)] * 2 * MANY * 3
    for toolset in toolsets:
        assert [row.kind for row in releases_of(engine, toolset)] == ["release", "backup"] * MANY


def release_edit_and_roll_back(engine: Engine, toolset: Toolset, *, direct: Engine) -> None:
    for number in range(MANY):
        mailbox(engine).work_until_done(ask(engine, toolset))
        released = live_state(direct, toolset)
        toolset.edit(name=f"Edited {number}")
        mailbox(engine).work_until_done(ask(engine, toolset, "rollback", release_number=2 * number + 1))
        assert live_state(direct, toolset) == released


@needs_pgbouncer
def test_without_prepared_statements_a_client_asks_and_reads(
    engine: Engine, servers: Servers, forgetful: Pooler
) -> None:
    toolset = a_full_toolset(engine)
    unprepared = make_engine(forgetful.url, prepared_statements=False)
    broker_url = servers.broker(12)
    with (
        ReleaseClient(broker_url=broker_url, database_url=forgetful.url, prepared_statements=False) as client,
        Session(unprepared) as session,
    ):
        for number in range(MANY):
            handles = [client.create_release(toolset.path, actor=ACTOR)]
            handles.append(client.create_release(toolset.path, actor=ACTOR, session=session))
            session.commit()
            for handle in handles:
                mailbox(unprepared).work_until_done(handle.id)
            assert [handle.result(1).release_number for handle in handles] == [2 * number + 1, 2 * number + 2]
            assert client.handle(handles[0].id, organization="acme").result(1).release_number == 2 * number + 1
    unprepared.dispose()


@needs_pgbouncer
@pytest.mark.parametrize("kind", ["create_release", "rollback"])
def test_a_lost_prepared_statement_is_transient_and_the_request_succeeds_in_the_end(
    engine: Engine, between: Pooler, kind: str
) -> None:
    toolset = a_full_toolset(engine)
    prepared = make_engine(between.url)
    arguments = {"release_number": 1} if kind == "rollback" else {}
    for _ in range(MANY):
        mailbox(prepared).work_until_done(ask(prepared, toolset))
        edit_everything(toolset)
        mailbox(prepared).work_until_done(ask(prepared, toolset, "rollback", release_number=1))
    asked = ask(engine, toolset, kind, **arguments)
    between.forget()
    refused = [error for error in tries(prepared, asked) if isinstance(error, DatabaseUnavailable)]
    assert {error.details["sqlstate"] for error in refused} == {"26000"}
    assert all("RELEASE_WORKER_PREPARED_STATEMENTS" in str(error) for error in refused)
    assert record(engine, asked).status == "succeeded"
    prepared.dispose()


def tries(engine: Engine, request_id: str) -> list[TransientError]:
    """Work a request as often as it takes; the errors after which it was tried again."""
    met: list[TransientError] = []
    while not record_is_finished(engine, request_id, met):
        assert len(met) < 20, met
    return met


def record_is_finished(engine: Engine, request_id: str, met: list[TransientError]) -> bool:
    try:
        return mailbox(engine).work_until_done(request_id).finished
    except TransientError as error:
        met.append(error)
        return False


def test_a_statement_made_for_a_table_that_was_altered_meanwhile_is_made_again(
    engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE altered (a int)"))

    def look() -> None:
        with single_statement(engine) as connection:
            connection.execute(text("SELECT * FROM altered"))

    for _ in range(MANY):
        look()
    operator = make_engine(database_url)
    with operator.begin() as connection:
        connection.execute(text("ALTER TABLE altered ADD COLUMN b int"))
    operator.dispose()
    with pytest.raises(DatabaseUnavailable, match="cached plan"):
        look()
    look()


def test_no_two_connections_give_a_statement_the_same_name(engine: Engine) -> None:
    """Behind a pooler, one would otherwise carry out what the other has prepared."""
    with ledger_transaction(engine) as one, ledger_transaction(engine) as other:
        names = [prepared_on(connection) for connection in (one, other)]
    assert all(names)
    assert not names[0] & names[1]


def prepared_on(connection: Connection) -> set[str]:
    """The names of a connection's prepared statements, once there is something to prepare."""
    query = text("SELECT name FROM pg_prepared_statements")
    return [set(connection.execute(query).scalars()) for _ in range(MANY)][-1]


@pytest.mark.parametrize(("said", "meant"), [("false", False), ("0", False), ("true", True), ("", True)])
def test_the_setting_reaches_worker_and_client(
    monkeypatch: pytest.MonkeyPatch, database_url: str, said: str, meant: bool
) -> None:
    monkeypatch.setenv("RELEASE_WORKER_BROKER_URL", "memory://")
    monkeypatch.setenv("RELEASE_WORKER_DATABASE_URL", database_url)
    monkeypatch.setenv("RELEASE_WORKER_PREPARED_STATEMENTS", said)
    runtime = Runtime(read_settings())
    with ReleaseClient.from_env() as client:
        for engine in (client._engine(), runtime._engine):
            with ledger_transaction(engine) as connection:
                assert bool(prepared_on(connection)) is meant
    runtime.close()


def test_a_setting_that_is_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_WORKER_PREPARED_STATEMENTS", "perhaps")
    with pytest.raises(NotConfigured, match="RELEASE_WORKER_PREPARED_STATEMENTS"):
        read_settings()
