"""Everything of ours is found in its own schema, and named there, whatever else the database has under these names."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.doctor import database as doctor
from release_worker.doctor.deployment import Deployment
from release_worker.doctor.finding import Level
from release_worker.domain.database import PUBLIC, Database, channel_of
from release_worker.errors import NotConfigured, ToolsetNotFound
from release_worker.metrics.figures import read_figures
from release_worker.operations.answer import answer
from release_worker.operations.deliver_events import deliver_events
from release_worker.operations.schema import check_schema, grant_privileges, upgrade_schema
from release_worker.operations.sweep import sweep
from release_worker.operations.tidy import TidyPolicy, tidy
from release_worker.operations.watch_drift import watch_drift
from release_worker.queries.drift_now import drift_now
from release_worker.queries.reading import reading
from release_worker.queries.toolsets import list_toolsets
from release_worker.queries.verify_all import verify_all
from release_worker.settings import given_settings
from release_worker.state.registry import built_in_components
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.store.listening import heard, take_asked
from release_worker.store.schema_version import known_revisions, revision_of
from tests.support.billing import INVOICE, a_full_toolset, edit_everything
from tests.support.events import AT_ONCE, Inbox, events, subscribed
from tests.support.ledger import ask, ledger, mailbox, record
from tests.support.live_state import live_state
from tests.support.openapi import minimal
from tests.support.operations import ACTOR, drift, release, roll_back
from tests.support.own_schema import SCHEMA, Shared, shared_database
from tests.support.schedules import NOON, add, due_at, ticked
from tests.support.servers import Servers
from tests.support.staging import publish, stage
from tests.support.world import Toolset

ROLES = ("release_worker_app", "release_worker_worker", "release_worker_reader", "release_worker_caller")


@pytest.fixture
def shared(servers: Servers) -> Iterator[Shared]:
    with shared_database(servers) as made:
        yield made


@pytest.fixture
def billing(shared: Shared) -> Toolset:
    return a_full_toolset(shared.inside)


@pytest.fixture
def roles(shared: Shared) -> Iterator[dict[str, str]]:
    """A user in each group of `db grants`, by group."""
    grant_privileges(shared.database)
    users = {group: f"user_{uuid4().hex[:12]}" for group in ROLES}
    with shared.connect() as owner, ExitStack() as stack:
        owner.autocommit = True
        for group, name in users.items():
            run(owner, f"CREATE ROLE {name} LOGIN IN ROLE {group}")
            stack.callback(run, owner, f"DROP ROLE {name}")
            stack.callback(run, owner, f"DROP OWNED BY {name}")
        yield users
        for group in ROLES:
            run(owner, f"DROP OWNED BY {group}")


def run(connection: "psycopg.Connection[Any]", statement: str, *parameters: Any) -> Any:
    """The rows of a statement, if it has some."""
    cursor = connection.execute(statement.encode(), parameters or None)
    return cursor.fetchall() if cursor.description else None


def url_of(shared: Shared, user: str) -> str:
    return shared.database.url.replace("postgres@", f"{user}@")


@contextmanager
def connected(url: str) -> Iterator[Engine]:
    engine = make_engine(Database(url, SCHEMA))
    yield engine
    engine.dispose()


def test_it_is_made_beside_what_is_there(shared: Shared) -> None:
    assert check_schema(shared.database).ok
    assert revision_of(shared.database, within=5) == known_revisions()[-1]
    assert upgrade_schema(shared.database).before == known_revisions()[-1]
    with shared.connect() as theirs:
        ours = (
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')"
        )
        assert run(theirs, ours) == [(4,)]
        assert run(theirs, "SELECT * FROM public.organizations") == [(1, "acme")]
    with pytest.raises(NotConfigured, match=r"already has a table deployments, .* RELEASE_WORKER_SCHEMA"):
        upgrade_schema(Database(shared.database.url, PUBLIC), beside_another=True)
    with pytest.raises(
        NotConfigured, match=f'are in schema "{SCHEMA}" of this database, and RELEASE_WORKER_SCHEMA is p'
    ):
        upgrade_schema(Database(shared.database.url, PUBLIC))


def test_releases_rollbacks_and_staged_copies_are_made_there(shared: Shared, billing: Toolset) -> None:
    engine = shared.engine
    first = live_state(shared.inside, billing)
    assert release(engine, billing).release_number == 1
    edit_everything(billing)
    assert release(engine, billing).release_number == 2
    roll_back(engine, billing, 1)
    assert live_state(shared.inside, billing) == first
    copy = stage(engine, billing)
    copy.remove_tool(INVOICE)
    assert publish(engine, billing).release_number == 3
    assert drift(engine, billing).drifted is False
    registry = built_in_components()
    assert answer(shared.database, registry, "status", {"toolset": billing.path}).current_release_number == 3  # type: ignore[attr-defined]
    assert [one.result.mismatches for one in verify_all(shared.database)] == [()]
    with reading(shared.database) as connection:
        listed = list_toolsets(connection)
    assert [one.drifted for one in drift_now(shared.database, registry, listed)] == [False]


def test_toolsets_are_added_edited_imported_and_shown_there(shared: Shared) -> None:
    with ReleaseClient(broker_url="memory://", database_url=shared.database.url, schema=SCHEMA) as client:
        client.import_openapi("new/p/t", minimal(), create=True)
        client.edit_toolset(
            "new/p/t",
            slug="u",
            name="U",
            add_tools=[INVOICE],
            set_variations={INVOICE: 1},
            set_global_variations={INVOICE: 1},
            set_config={"k": 1},
            set_prompts={"p": "P"},
            deploy=[{"urn": INVOICE}],
        )
        client.edit_project("new/p", slug="q", name="Q")
        client.edit_organization("new", slug="newer", remove_variations=[INVOICE])
        assert [one.slug for one in client.organizations()] == ["newer"]
        assert client.show_organization("newer").variations == {}
        assert client.show_project("newer/q").config == {"k": 1}
        assert [one.urn for one in client.show_toolset("newer/q/u").tools if one.provided] == [INVOICE]


@pytest.mark.parametrize("search_path", ["public", "nowhere", f'"{SCHEMA}"', "pg_catalog, public"])
def test_what_fires_in_a_session_of_an_app_finds_what_it_needs(
    shared: Shared, billing: Toolset, roles: dict[str, str], search_path: str
) -> None:
    release(shared.engine, billing)
    with shared.connect(user=roles["release_worker_app"]) as app:
        run(app, f"SET search_path = {search_path}")
        run(app, f"UPDATE \"{SCHEMA}\".toolsets SET name = 'Edited'")
        run(app, f'DELETE FROM "{SCHEMA}".toolset_tools WHERE tool_urn = %s', INVOICE)
        [(made,)] = run(app, f"INSERT INTO \"{SCHEMA}\".organizations (slug, name) VALUES ('new', 'New') RETURNING id")
        assert made.version == 7
        digest = f'SELECT "{SCHEMA}".release_worker_digest(%s::jsonb) = "{SCHEMA}".release_worker_digest(%s::jsonb)'
        assert run(app, digest, '{"a": 1.50}', '{"a": 1.5}') == [(True,)]
    assert drift(shared.engine, billing).drifted
    with shared.connect() as owner:
        run(owner, f"SET search_path = {search_path}")
        run(owner, f"UPDATE \"{SCHEMA}\".toolset_releases SET notes = 'A note'")
        with pytest.raises(psycopg.errors.RestrictViolation):
            run(owner, f"UPDATE \"{SCHEMA}\".toolset_releases SET digest = 'another'")


def test_roles_of_the_grants_can_do_their_part_and_no_more(
    shared: Shared, billing: Toolset, roles: dict[str, str]
) -> None:
    app, worker, reader = (url_of(shared, roles[f"release_worker_{group}"]) for group in ("app", "worker", "reader"))
    with connected(app) as asking, connected(worker) as working, connected(reader) as looking:
        mailbox(working).work_until_done(ask(asking, billing))
        assert record(looking, ledger(shared.inside)[0].id).status == "succeeded"
        assert read_figures(looking)
    with shared.connect(user=roles["release_worker_caller"]) as caller, pytest.raises(psycopg.Error) as refused:
        run(caller, f'SELECT FROM "{SCHEMA}".toolsets')
    assert refused.value.sqlstate == "42501"
    deployment = Deployment(given_settings(database_url=worker, database_schema=SCHEMA))
    found = [finding for check in (doctor.server, doctor.schema, doctor.role) for finding in check(deployment)]
    assert {finding.level for finding in found} == {Level.OK}


def test_a_role_that_was_granted_nothing_is_told_so(shared: Shared, roles: dict[str, str]) -> None:
    worker = roles["release_worker_worker"]
    with shared.connect() as owner:
        run(owner, f"REVOKE release_worker_worker FROM {worker}")
    deployment = Deployment(given_settings(database_url=url_of(shared, worker), database_schema=SCHEMA))
    [finding] = doctor.role(deployment)
    assert f'lacks USAGE on schema "{SCHEMA}", DELETE on "{SCHEMA}".' in finding.found
    assert finding.remedy is not None
    with shared.connect() as owner:
        run(owner, finding.remedy.partition("and then ")[2])
    assert [one.level for one in doctor.role(deployment)] == [Level.OK]


def test_the_doctor_says_what_to_do_in_this_schema(shared: Shared) -> None:
    with shared.connect() as owner:
        run(owner, f'ALTER TABLE "{SCHEMA}".toolset_releases DISABLE TRIGGER toolset_releases_immutable')
    deployment = Deployment(given_settings(database_url=shared.database.url, database_schema=SCHEMA))
    [finding] = doctor.schema(deployment)
    assert finding.remedy is not None
    with shared.connect() as owner:
        run(owner, finding.remedy.partition(": ")[2])
    assert check_schema(shared.database).ok


def test_chores_find_their_work_there(shared: Shared, billing: Toolset) -> None:
    engine, published = shared.engine, list[str]()
    schedule = add(engine, billing)
    due_at(shared.inside, schedule, NOON - timedelta(seconds=1))
    assert len(ticked(engine).fired) == 1
    [fired] = ledger(shared.inside)
    assert mailbox(engine).work_until_done(fired.id).status == "succeeded"

    inbox = Inbox()
    subscribed(engine)
    edit_everything(billing)
    lost = ask(engine, billing)
    with shared.inside.begin() as connection:
        connection.execute(
            text("UPDATE release_requests SET created_at = now() - interval '1 day', published_at = NULL")
        )
    assert sweep(engine, lambda swept: published.append(swept.id), attempts=5).published == (lost,)
    assert published == [lost]
    assert mailbox(engine).work_until_done(lost).status == "succeeded"
    deliver_events(engine, inbox, AT_ONCE)
    assert [message.type for _, message in inbox.came] == ["release.created"]
    assert [one.type for one in events(shared.inside)] == ["release.created", "release.created"]

    with shared.inside.begin() as connection:
        connection.execute(text("UPDATE toolsets SET name = 'Drifted'"))
    assert len(watch_drift(engine, built_in_components()).turned) == 1
    tidy(engine, TidyPolicy())
    assert read_figures(engine)


def test_retention_deletes_there(shared: Shared, billing: Toolset) -> None:
    for number in range(4):
        billing.edit(name=f"Version {number}")
        release(shared.engine, billing)
    mailbox(shared.engine).work_until_done(ask(shared.engine, billing, "prune", keep=1))
    with shared.inside.connect() as connection:
        assert connection.execute(text("SELECT release_number FROM toolset_releases")).scalars().all() == [4]
        assert connection.execute(text("SELECT count(*) FROM toolset_versions")).scalar() == 1
    assert [one.result.mismatches for one in verify_all(shared.database)] == [()]


def test_a_request_by_sql_is_heard_by_the_workers_of_its_schema_alone(
    shared: Shared, billing: Toolset, roles: dict[str, str]
) -> None:
    name = roles["release_worker_caller"]
    grant = f'INSERT INTO "{SCHEMA}".release_callers SELECT %s, id FROM "{SCHEMA}".organizations'
    ours, others = (
        heard(shared.engine, channel_of(SCHEMA), every=0.05),
        heard(shared.engine, "release_worker", every=0.05),
    )
    assert (next(ours), next(others)) == ([], [])
    with shared.connect() as owner:
        run(owner, grant, name)
    with shared.connect(user=name) as caller:
        asked = f'SELECT "{SCHEMA}".release_worker_request(%s, %s, %s, %s::jsonb)'
        [(request_id,)] = run(caller, asked, "create_release", billing.path, "psql", json.dumps({"notes": "From SQL"}))
    assert next(told for told in ours if told) == [request_id]
    assert next(others) == []
    with ledger_transaction(shared.engine) as connection:
        assert [one.id for one in take_asked(connection, [request_id])] == [request_id]
    assert mailbox(shared.engine).work_until_done(request_id).status == "succeeded"
    with shared.connect(user=name) as caller:
        assert run(caller, f'SELECT status FROM "{SCHEMA}".release_requests_of_caller') == [("succeeded",)]
        assert run(caller, f'SELECT notes FROM "{SCHEMA}".toolset_releases_of_caller') == [("From SQL",)]
    ours.close()
    others.close()


def client_of(shared: Shared, schema: str = SCHEMA) -> ReleaseClient:
    return ReleaseClient(broker_url="memory://", database_url=shared.database.url, schema=schema)


def test_a_client_joins_a_session_that_searches_elsewhere_and_leaves_the_callers_own_statements_alone(
    shared: Shared, billing: Toolset
) -> None:
    sent: list[str] = []
    event.listen(shared.outside, "before_cursor_execute", lambda _c, _cursor, statement, *_: sent.append(statement))
    with client_of(shared) as client, Session(shared.outside) as session:
        held = client.editing(session, billing.path)
        assert held.toolset_id == billing.id
        ours = client.create_release(billing.path, actor=ACTOR, session=session)
        again = client.create_release(billing.path, actor=ACTOR, session=session, idempotency_key="k")
        own = text("SELECT ours.number, 'ours.' FROM (VALUES (7)) AS ours (number)")
        assert session.execute(own).one() == (7, "ours.")
        session.commit()
        assert [one.id for one in ledger(shared.inside)] == [ours.id, again.id]
        assert session.execute(own).one() == (7, "ours.")  # on a connection that nobody has joined
        undone = client.create_release(billing.path, actor=ACTOR, session=session)
        session.rollback()
        assert undone.id not in {one.id for one in ledger(shared.inside)}
        assert mailbox(shared.engine).work_until_done(ours.id).status == "succeeded"
        assert ours.result(1).release_number == 1
    assert "SET search_path" not in " ".join(sent)


def test_two_schemas_of_a_database_are_two_deployments_also_in_one_transaction(
    shared: Shared, billing: Toolset
) -> None:
    other = Database(shared.database.url, "other")
    upgrade_schema(other, beside_another=True)
    beside = create_engine(other.url, connect_args={"options": "-c search_path=other"}, poolclass=NullPool)
    twin = a_full_toolset(beside)
    both = make_engine(other)
    with client_of(shared) as client, client_of(shared, "other") as second, Session(shared.outside) as session:
        first_id = client.create_release(billing.path, actor=ACTOR, session=session).id
        second_id = second.create_release(twin.path, actor=ACTOR, session=session).id
        third_id = client.create_release(str(billing.id), actor=ACTOR, session=session).id
        session.commit()
    assert [one.id for one in ledger(shared.inside)] == [first_id, third_id]
    assert [one.id for one in ledger(beside)] == [second_id]
    mailbox(both).work_until_done(second_id)
    twin.edit(name="Edited")
    release(both, twin)
    mailbox(shared.engine).work_until_done(first_id)
    assert [numbers(engine) for engine in (shared.inside, beside)] == [[1], [1, 2]]
    with pytest.raises(ToolsetNotFound):
        release(both, str(billing.id))
    both.dispose()


def numbers(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT release_number FROM toolset_releases ORDER BY 1")).scalars())


def test_a_schema_that_somebody_made_is_used_and_not_made_again(servers: Servers, database_url: str) -> None:
    plain: LiteralString = "CREATE SCHEMA tools; CREATE TABLE tools.others (id int)"
    with psycopg.connect(database_url.replace("+psycopg", "")) as connection:
        connection.execute(plain)
    assert upgrade_schema(Database(database_url, "tools"), beside_another=True).before is None
    assert check_schema(Database(database_url, "tools")).ok
    assert check_schema(Database(database_url)).ok
    assert check_schema(Database(database_url, "nothing")).revision is None
    assert revision_of(Database(database_url, "nothing"), within=5) is None
