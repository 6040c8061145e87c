"""Least privilege: with `release-worker db grants`, apps, workers and readers can each do their part and no more."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from release_worker import ReleaseClient, migrations
from release_worker.errors import DatabaseUnavailable, IdempotencyConflict, InvalidRequest, RequestCancelled
from release_worker.operations.deliver_events import deliver_events
from release_worker.operations.forget_events import forget_events
from release_worker.operations.sweep import sweep
from release_worker.operations.tidy import TidyPolicy, tidy
from release_worker.operations.watch_drift import watch_drift
from release_worker.state.registry import built_in_components
from release_worker.store.engine import make_engine
from release_worker.store.tables import metadata
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import INVOICE, REFUND, a_full_toolset, active_deployment, edit_everything
from tests.support.bundles import exported, keep
from tests.support.events import AT_ONCE, happen, subscribed
from tests.support.freezes import from_now
from tests.support.ledger import ask, claim, end_leases, mailbox
from tests.support.live_state import live_state
from tests.support.metrics import counted, fold
from tests.support.openapi import minimal
from tests.support.operations import ACTOR
from tests.support.records import RECORDS, number_of_rows, releases_of
from tests.support.schedules import NOON, change, due_at, ticked
from tests.support.servers import Servers
from tests.support.world import Toolset, World

INSUFFICIENT_PRIVILEGE = "42501"
GROUPS = ("release_worker_app", "release_worker_worker", "release_worker_reader")


@dataclass(frozen=True)
class Users:
    """An engine for the owner, and one for a user in each group."""

    owner: Engine
    app: Engine
    worker: Engine
    reader: Engine


@pytest.fixture
def users(engine: Engine) -> Iterator[Users]:
    with ExitStack() as stack:
        execute(engine, migrations.grants())
        stack.callback(_remove_groups, engine)
        engines = [stack.enter_context(_user_of(engine, group)) for group in GROUPS]
        yield Users(engine, *engines)


@contextmanager
def _user_of(owner: Engine, group: str) -> Iterator[Engine]:
    """A user of this test's own; roles belong to the whole cluster."""
    name = f"user_{uuid4().hex[:12]}"
    execute(owner, f"CREATE ROLE {name} LOGIN IN ROLE {group}")
    engine = make_engine(owner.url.set(username=name).render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    execute(owner, f"DROP ROLE {name}")


def _remove_groups(owner: Engine) -> None:
    for group in GROUPS:
        execute(owner, f"DROP OWNED BY {group}")
        with suppress(DBAPIError):  # another database has granted something to it
            execute(owner, f"DROP ROLE {group}")


def execute(engine: Engine, script: str) -> None:
    """Run statements as they stand, as `psql` would."""
    with engine.begin() as connection:
        connection.exec_driver_sql(script.replace("%", "%%"))


def refusal(engine: Engine, statement: str) -> str | None:
    """The SQLSTATE with which a statement is refused; None where it is not."""
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    except DBAPIError as error:
        return getattr(error.orig, "sqlstate", None)
    return None


def a_done_toolset(users: Users) -> Toolset:
    """One that an app made and a worker has released."""
    billing = a_full_toolset(users.app)
    mailbox(users.worker).work_until_done(ask(users.app, billing))
    return billing


def test_the_script_can_be_run_again(users: Users) -> None:
    execute(users.owner, migrations.grants())


def test_an_app_edits_live_state(users: Users) -> None:
    billing = a_full_toolset(users.app)
    edit_everything(billing)
    billing.project.deploy()
    billing.edit(editing_mode="staging")
    billing.delete()
    World(users.app).organization("other").project("p").toolset("t", tools=[INVOICE])


@pytest.mark.parametrize("in_session", [False, True], ids=["by itself", "in its transaction"])
def test_an_app_asks_and_waits_for_the_result(servers: Servers, users: Users, *, in_session: bool) -> None:
    billing = a_full_toolset(users.app)
    url = users.app.url.render_as_string(hide_password=False)
    broker_url = servers.broker(5)
    with ReleaseClient(broker_url=broker_url, database_url=url) as client, Session(users.app) as session:
        joined = session if in_session else None
        handle = client.create_release(billing.path, actor=ACTOR, idempotency_key="k", session=joined)
        assert client.create_release(billing.path, actor=ACTOR, idempotency_key="k", session=joined).id == handle.id
        with pytest.raises(IdempotencyConflict):
            client.create_release(billing.path, actor=ACTOR, idempotency_key="k", notes="n", session=joined)
        session.commit()
        mailbox(users.worker).work_until_done(handle.id)
        assert handle.result(1).release_number == 1
        for not_for_apps in (client.sweep, lambda: client.retry(handle.id)):
            with pytest.raises((DatabaseUnavailable, InvalidRequest)):
                not_for_apps()
        [bulk] = client.release_all(project="acme/payments", actor=ACTOR).values()
        client.release_all(organization="acme", actor=ACTOR, idempotency_key="bulk")
        mailbox(users.worker).work_until_done(bulk.id)
        assert [ended.release_number for _, ended in client.wait([bulk]) if not isinstance(ended, Exception)] == [1]
        queued = client.create_release(billing.path, actor=ACTOR)
        with pytest.raises(DatabaseUnavailable, match="lacks a privilege"):
            client.cancel(queued.id, actor=ACTOR)


def test_an_app_adds_edits_and_looks_through_the_client(users: Users) -> None:
    url = users.app.url.render_as_string(hide_password=False)
    with ReleaseClient(broker_url="memory://", database_url=url) as client:
        client.add_organization("new")
        client.add_project("new/p")
        client.add_toolset("new/p/t")
        client.edit_toolset(
            "new/p/t",
            slug="u",
            name="T",
            add_tools=[INVOICE],
            add_resources=["resources:r"],
            set_variations={INVOICE: 1},
            set_global_variations={INVOICE: 1},
            set_config={"k": 1},
            set_prompts={"p": "P"},
            deploy=[{"urn": INVOICE}],
        )
        client.edit_toolset(
            "new/p/u",
            remove_tools=[INVOICE],
            remove_resources=["resources:r"],
            remove_variations=[INVOICE],
            remove_global_variations=[INVOICE],
            remove_config=["k"],
            remove_prompts=["p"],
            deploy=[],
        )
        client.import_openapi("new/p/u", minimal())
        client.edit_project("new/p", slug="q", name="Q")
        client.edit_organization("new", slug="newer", name="Newer")
        assert client.show_toolset("newer/q/u").name == "T"
    with ReleaseClient(
        broker_url="memory://", database_url=users.reader.url.render_as_string(hide_password=False)
    ) as reader:
        assert [one.path for one in reader.projects()] == ["newer/q"]
        with pytest.raises(DatabaseUnavailable, match="lacks a privilege"):
            reader.edit_project("newer/q", name="x")


def test_an_app_freezes_what_a_worker_then_refuses_and_takes_the_freeze_back(servers: Servers, users: Users) -> None:
    billing = a_full_toolset(users.app)
    url = users.app.url.render_as_string(hide_password=False)
    with ReleaseClient(broker_url=servers.broker_url, database_url=url) as client:
        made = client.add_freeze(project="acme/payments", ends_at=from_now(1), reason="x", actor=ACTOR)
        refused = mailbox(users.worker).work_until_done(ask(users.app, billing))
        assert refused.error is not None
        assert refused.error["type"] == "Frozen"
        client.remove_freeze(made.id)
    assert mailbox(users.worker).work_until_done(ask(users.app, billing)).status == "succeeded"


def test_who_has_the_workers_rights_cancels_a_request(servers: Servers, users: Users) -> None:
    asked = ask(users.app, a_full_toolset(users.app))
    url = users.worker.url.render_as_string(hide_password=False)
    with ReleaseClient(broker_url=servers.broker_url, database_url=url) as client:
        client.cancel(asked, actor=ACTOR)
        with pytest.raises(RequestCancelled):
            client.handle(asked).result(1)


NOT_FOR_APPS_AND_READERS = (
    "UPDATE toolsets SET current_release_id = NULL",
    "INSERT INTO toolsets (organization_id, project_id, slug, name, current_release_id)"
    " SELECT organization_id, project_id, 'other', 'Other', current_release_id FROM toolsets",
    "UPDATE release_requests SET status = 'succeeded'",
    "UPDATE release_requests SET payload = '{}'",
    "UPDATE release_bundles SET digest = 'x'",
    "UPDATE release_freezes SET reason = 'x'",
    "DELETE FROM toolset_drift",
    "DELETE FROM release_bundles",
    "DELETE FROM release_requests",
    "INSERT INTO release_requests (id, kind, requested_by, status) VALUES ('x', 'prune', 'x', 'succeeded')",
    "INSERT INTO release_requests (id, kind, requested_by, result) VALUES ('x', 'prune', 'x', '{}')",
    "UPDATE toolset_releases SET labels = '{}'",
    "UPDATE toolset_releases SET notes = 'other'",
    "SELECT FROM release_requests FOR UPDATE",
    "INSERT INTO release_measurements (kind) VALUES ('rollback')",
    "DELETE FROM release_measurements",
    "INSERT INTO release_totals VALUES ('requests', 'rollback', 'failed', 1, 1, 1)",
    "CREATE TRIGGER mine AFTER INSERT ON toolset_tools EXECUTE FUNCTION release_worker_measure_release()",
    "ALTER TABLE toolset_releases DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
    "CREATE TABLE mine (id int)",
    "UPDATE release_worker_alembic_version SET version_num = '0001_functions'",
)


def test_apps_and_readers_neither_write_records_nor_say_what_is_current_or_done(users: Users) -> None:
    a_done_toolset(users)
    for user in (users.app, users.reader):
        for statement in NOT_FOR_APPS_AND_READERS:
            assert refusal(user, statement) == INSUFFICIENT_PRIVILEGE, statement
    assert refusal(users.reader, "UPDATE release_bundles SET document = '{}'") == INSUFFICIENT_PRIVILEGE


def test_apps_and_readers_write_no_records_even_where_they_say_that_they_prune(users: Users) -> None:
    for user, table in product((users.app, users.reader), (*RECORDS, "toolset_rollbacks")):
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE", f"INSERT INTO {table} DEFAULT VALUES"):
            with pytest.raises(DBAPIError, match="permission denied"):
                execute(user, f"SET release_worker.pruning = 'on'; {statement}")


def test_a_reader_reads_everything_and_writes_nothing(users: Users) -> None:
    a_done_toolset(users)
    tables = [table.name for table in metadata.sorted_tables]
    for table in tables:
        refused = INSUFFICIENT_PRIVILEGE if table == "release_event_subscriptions" else None  # for its secrets
        assert refusal(users.reader, f"SELECT * FROM {table}") == refused
    writes = """
        SELECT table_name, privilege_type FROM information_schema.column_privileges
        WHERE grantee = 'release_worker_reader' AND privilege_type <> 'SELECT'
        UNION ALL
        SELECT table_name, privilege_type FROM information_schema.table_privileges
        WHERE grantee = 'release_worker_reader' AND privilege_type <> 'SELECT'
    """
    with users.owner.connect() as connection:
        assert connection.execute(text(writes)).all() == []


def test_only_the_worker_reads_the_secrets_that_sign_events(users: Users) -> None:
    columns = [column.name for column in metadata.tables["release_event_subscriptions"].columns]
    for user in (users.app, users.reader):
        for column in columns:
            refused = INSUFFICIENT_PRIVILEGE if column in ("secret", "url") else None
            assert refusal(user, f"SELECT {column} FROM release_event_subscriptions") == refused, column
    assert refusal(users.worker, "SELECT * FROM release_event_subscriptions") is None


def test_an_app_whose_request_is_refused_leaves_an_event_and_writes_none_itself(users: Users) -> None:
    ask(users.app, "acme/payments/nothing")
    assert number_of_rows(users.owner, "release_events") == 1
    insert = "INSERT INTO release_events (type, data) VALUES ('release.created', '{}')"
    assert refusal(users.app, insert) == INSUFFICIENT_PRIVILEGE
    assert refusal(users.worker, insert) is None


def test_a_worker_does_every_operation(users: Users) -> None:
    billing = a_full_toolset(users.app)
    worker = mailbox(users.worker)
    first = live_state(users.reader, billing)

    def work(kind: str, **fields: object) -> None:
        done = worker.work_until_done(ask(users.app, billing, kind, **fields))
        assert done.status == "succeeded", done.error

    work("create_release", notes="n", labels={"a": 1})
    edit_everything(billing)
    for kind in ("check_drift", "verify", "status"):
        work(kind)
    work("diff", release_number=1)
    work("rollback", release_number=1)
    assert live_state(users.reader, billing) == first
    for on_missing in ("skip", "recreate"):
        active_deployment(billing).remove_tool(REFUND)
        billing.project.delete_prompt("summary")
        work("rollback", release_number=1, components=["tools", "resources"], on_missing=on_missing)
    work("rollback", release_number=1)
    billing.project.activate(None)
    work("rollback", release_number=1)
    assert live_state(users.reader, billing) == first
    for number in range(4):
        billing.edit(settings={"number": number})
        billing.vary(INVOICE, {"number": number})
        work("create_release")
    newest = max(row.release_number for row in releases_of(users.reader, billing))
    work("pin", release_number=newest - 1)
    work("mark", release_number=newest - 2, mark="bad")
    work("prune", keep=1)
    assert newest - 2 not in {row.release_number for row in releases_of(users.reader, billing)}


def test_what_an_app_asks_for_is_counted_and_only_a_worker_adds_it_up(users: Users) -> None:
    a_done_toolset(users)
    ask(users.app, "acme/nothing/here")
    before = counted(users.reader)
    assert before["failures ToolsetNotFound"] == before["requests create_release succeeded"] == 1
    assert fold(users.worker) == 3
    assert counted(users.reader) == before
    with pytest.raises(DatabaseUnavailable, match="lacks a privilege"):
        fold(users.reader)


def test_nobody_else_can_have_functions_called_that_write_with_their_owners_rights(users: Users) -> None:
    with users.owner.connect() as connection:
        callable_by = "SELECT proname FROM pg_proc WHERE prosecdef AND has_function_privilege(:role, oid, 'EXECUTE')"
        for role in GROUPS:
            # Those that one asks with check who asks.
            doors = {
                "release_worker_app": {"release_worker_request", "release_worker_accept"},
                "release_worker_worker": {"release_worker_accept"},
            }
            assert set(connection.execute(text(callable_by), {"role": role}).scalars()) == doors.get(role, set())


def test_a_worker_stages_publishes_discards_and_imports(users: Users) -> None:
    billing = a_done_toolset(users)
    worker = mailbox(users.worker)
    bundle = exported(users.reader, billing, 1)

    def work(kind: str, **fields: object) -> None:
        done = worker.work_until_done(ask(users.app, billing, kind, **fields))
        assert done.status == "succeeded", done.error

    work("stage")
    billing.edit(name="Edited since")
    work("publish")
    work("stage")
    work("discard")
    work("set_mode", mode="staging")
    edit_everything(billing)
    work("import_bundle", bundle=keep(users.app, bundle))
    execute(users.owner, "UPDATE release_bundles SET created_at = now() - interval '2 days'")
    keep(users.app, bundle)
    sweep(users.worker, lambda _: None, attempts=1)
    assert number_of_rows(users.reader, "release_bundles") == 1
    execute(users.owner, "UPDATE release_bundles SET created_at = now() - interval '2 days'")
    sweep(users.worker, lambda _: None, attempts=1)
    assert number_of_rows(users.reader, "release_bundles") == 0


def test_an_app_manages_schedules_and_a_worker_fires_and_suspends_them(servers: Servers, users: Users) -> None:
    billing = a_full_toolset(users.app)
    broker = servers.broker(5)
    with ReleaseClient(broker_url=broker, database_url=users.app.url.render_as_string(hide_password=False)) as client:
        nightly = client.add_schedule("nightly", toolset=billing.path, cron="0 3 * * *", actor="app")
        broken = client.add_schedule("broken", organization="acme", cron="0 3 * * *", actor="app")
        client.pause_schedule("nightly")
        client.resume_schedule("nightly")
        assert len(client.run_schedule_now("nightly")) == 1
        due_at(users.app, nightly, NOON)
        change(users.app, broken.id, next_fire_at=NOON, timezone="Nowhere/Land")
        done = ticked(users.worker)
        assert [len(done.fired), len(done.suspended)] == [1, 1]
        client.remove_schedule("broken")
    assert number_of_rows(users.reader, "release_schedules") == 1


def test_a_worker_forgets_old_requests_and_watches_drift(users: Users) -> None:
    billing = a_done_toolset(users)
    mailbox(users.worker).work_until_done(ask(users.app, billing, "verify"))
    execute(
        users.owner,
        "UPDATE release_requests SET created_at = now() - interval '9 days', finished_at = now() - interval '9 days'",
    )
    assert tidy(users.worker, TidyPolicy(keep=timedelta(days=7))) == {("verify", "succeeded"): 1}
    billing.edit(description="edited")
    assert watch_drift(users.worker, built_in_components()).turned == [billing.id]
    billing.delete()
    watch_drift(users.worker, built_in_components())
    assert number_of_rows(users.reader, "toolset_drift") == 0


def test_a_worker_delivers_events_and_forgets_them(users: Users) -> None:
    subscribed(users.worker)
    happen(users.worker)
    attempts = deliver_events(users.worker, lambda _receiver, _message: None, AT_ONCE)
    assert [attempt.failed for attempt in attempts] == [None]
    execute(users.owner, "UPDATE release_events SET created_at = now() - interval '9 days'")
    assert forget_events(users.worker, timedelta(days=7)) == 1
    assert number_of_rows(users.reader, "release_events") == 0


def test_a_worker_sweeps_refuses_and_retries(users: Users) -> None:
    billing = a_full_toolset(users.app)
    claim(users.worker, ask(users.app, billing))
    end_leases(users.owner)
    assert len(sweep(users.worker, lambda _: None, attempts=1).exhausted) == 1
    claim(users.worker, ask(users.app, billing))
    end_leases(users.owner)
    assert len(sweep(users.worker, lambda _: None, attempts=2).published) == 1
    with pytest.raises(InvalidRequest):
        Inbox(users.worker).accept("prune", Message("x", [], {}, in_ledger=False))
    assert number_of_rows(users.reader, "release_requests") == 3


NOT_FOR_WORKERS = (
    "DELETE FROM organizations",
    "DELETE FROM toolsets",
    "UPDATE organizations SET slug = 'other'",
    "UPDATE toolsets SET slug = 'other'",
    "UPDATE toolsets SET parent_toolset_id = id",
    "UPDATE release_bundles SET document = '{}'",
    "UPDATE toolsets SET organization_id = organization_id",
    "INSERT INTO organizations (slug, name) VALUES ('other', 'Other')",
    "DELETE FROM tool_definitions",
    "DELETE FROM release_freezes",
    "UPDATE release_freezes SET ends_at = now()",
    "UPDATE tool_definitions SET definition = '{}'",
    "DELETE FROM release_schedules",
    "UPDATE release_schedules SET arguments = '{}'",
    "DELETE FROM toolset_rollbacks",
    "UPDATE toolset_rollbacks SET reason = 'other'",
    "TRUNCATE toolset_releases CASCADE",
    "INSERT INTO release_measurements (kind) VALUES ('rollback')",
    "UPDATE release_measurements SET kind = 'rollback'",
    "DELETE FROM release_totals",
    "ALTER TABLE toolset_releases DISABLE TRIGGER ALL",
    "SET session_replication_role = replica",
)


def test_a_worker_writes_only_what_restores_and_records_need(users: Users) -> None:
    a_done_toolset(users)
    for statement in NOT_FOR_WORKERS:
        assert refusal(users.worker, statement) == INSUFFICIENT_PRIVILEGE, statement
