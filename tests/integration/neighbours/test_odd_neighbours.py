"""Apps that do what nobody expected, at the worst moment."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.embedded.process import eventually
from release_worker.errors import InvalidRequest, VersionConflict
from release_worker.store.engine import ledger_transaction, locking_transaction
from release_worker.store.owners.holding import hold_for_editing, hold_owners, hold_toolset
from release_worker.store.owners.naming import find_toolset
from release_worker.store.requests import fail
from release_worker.store.statements import join
from release_worker.store.sweeping import requeue_failed
from tests.support.billing import INVOICE, REFUND, a_full_toolset, active_deployment
from tests.support.elsewhere import SCHEMA
from tests.support.ledger import ask, claim, mailbox, record
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.plug_ins import Once, interrupted_by
from tests.support.records import captured_state, releases_of
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Released once."""
    billing = a_full_toolset(engine)
    release(engine, billing)
    return billing


def waits_for_a_lock(engine: Engine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())


def is_free(engine: Engine, query: str, strength: str) -> bool:
    with engine.connect() as connection:
        try:
            connection.execute(text(f"{query} FOR {strength} NOWAIT"))
        except OperationalError:
            return False
        return True


PROMOTED: dict[str, Callable[[Toolset, Toolset], str]] = {
    "made global": lambda _, other: f"UPDATE variations SET toolset_id = NULL WHERE toolset_id = '{other.id}'",
    "moved from another organization": lambda billing, _: (
        f"UPDATE variations SET organization_id = '{billing.project.organization.id}'"
        f" WHERE toolset_id = '{billing.id}' AND organization_id <> '{billing.project.organization.id}'"
    ),
}


@pytest.mark.parametrize("how", PROMOTED)
def test_a_variation_that_becomes_live_without_an_insert_is_not_lost(
    engine: Engine, billing: Toolset, how: str
) -> None:
    """Neither way checks a foreign key that the rollback holds; so the rows are held, and the app waits."""
    other = billing.project.toolset("other")
    other.vary("tools:new", {"of": "the app"})
    stranger = a_full_toolset(engine, organization="rival").project.organization
    with engine.begin() as connection:
        columns = "organization_id, toolset_id, tool_urn"
        insert = f"INSERT INTO variations ({columns}) VALUES (:organization, :toolset, 'tools:new')"
        connection.execute(text(insert), {"organization": stranger.id, "toolset": billing.id})
    billing.project.organization.vary(INVOICE, {"edited": 1})
    billing.vary(INVOICE, {"edited": 1})
    apps: list[Future[None]] = []

    def promote() -> None:
        with engine.begin() as connection:
            connection.execute(text(PROMOTED[how](billing, other)))

    def meanwhile() -> None:
        apps.append(pool.submit(promote))
        assert eventually(lambda: waits_for_a_lock(engine), within=30)

    with ThreadPoolExecutor(1) as pool:
        roll_back(engine, billing, 1, allow_shared_impact=True, registry=interrupted_by(Once(meanwhile)))
        apps[0].result()
    component = "global_variations" if how == "made global" else "toolset_variations"
    assert drift(engine, billing).changes[component].added == ("tools:new",)


def test_a_deployment_that_becomes_active_while_the_toolset_is_waited_for_is_the_one_that_is_held(
    engine: Engine, billing: Toolset
) -> None:
    deployed = billing.project.deploy(tools={INVOICE: {}}, activate=False)
    with engine.begin() as app, ThreadPoolExecutor(1) as pool:
        app.execute(text("SELECT FROM toolsets WHERE id = :id FOR UPDATE"), {"id": billing.id})

        def hold() -> bool:
            with locking_transaction(engine) as connection:
                connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
                hold_owners(connection, billing.id, written={"toolset", "project"})
                return is_free(engine, f"SELECT FROM deployments WHERE id = '{deployed.id}'", "KEY SHARE")

        holding = pool.submit(hold)
        assert eventually(lambda: waits_for_a_lock(engine), within=30)
        app.execute(text("UPDATE projects SET active_deployment_id = :id"), {"id": deployed.id})
        app.commit()
        assert holding.result() is False


@pytest.mark.parametrize("table", ["deployments", "tool_definitions"])
def test_a_rollback_does_not_wait_for_an_app_that_holds_the_deployment_it_goes_back_to(
    engine: Engine, billing: Toolset, table: str
) -> None:
    """Waiting there, with all else held, could make the app the victim of a deadlock."""
    former = active_deployment(billing)
    billing.project.deploy(tools={INVOICE: {"later": 1}, REFUND: {}})
    column = "id" if table == "deployments" else "deployment_id"
    with engine.begin() as app:
        app.execute(text(f"SELECT FROM {table} WHERE {column} = :id FOR UPDATE"), {"id": former.id})
        app.execute(text("SET LOCAL deadlock_timeout = '1ms'"))
        with pytest.raises(VersionConflict, match="is held by another transaction"):
            roll_back(engine, billing, 1, allow_shared_impact=True)
        app.execute(text("UPDATE projects SET name = 'The app goes on'"))
    assert roll_back(engine, billing, 1, allow_shared_impact=True).current_release_number == 1


def test_a_late_worker_cannot_act_in_the_name_of_a_claim_that_came_after_a_retry(
    engine: Engine, billing: Toolset
) -> None:
    asked = ask(engine, billing, "rollback", release_number=7)
    late = claim(engine, asked, lease=-1)
    mailbox(engine).work_until_done(asked)
    with ledger_transaction(engine) as connection:
        assert requeue_failed(connection, asked)
    again = claim(engine, asked)
    assert again.attempt > late.attempt
    assert again.tries == 1
    with ledger_transaction(engine) as connection:
        assert not fail(connection, late, InvalidRequest("late", problems=[]))
    assert record(engine, asked).status == "running"


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("scope", ["toolset", "project", "organization"])
def test_an_app_in_a_snapshot_of_its_own_that_waited_for_a_rollback_cannot_go_on_with_what_it_saw_before(
    engine: Engine, billing: Toolset, level: str, scope: str
) -> None:
    edits: dict[str, Callable[[], object]] = {
        "toolset": lambda: billing.edit(name="Edited"),
        "project": lambda: billing.project.configure("model", "edited"),
        "organization": lambda: billing.project.organization.vary(INVOICE, {"edited": 1}),
    }
    edits[scope]()
    isolated = create_engine(engine.url, isolation_level=level)

    def edit() -> str:
        with suppress(DBAPIError), isolated.begin() as app:
            app.execute(text("SELECT count(*) FROM system_configs"))
            began.append(1)
            hold_for_editing(join(app, SCHEMA), billing.path, scope)  # type: ignore[arg-type]
            return "edits"
        return "begins anew"

    began: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as blocker:
            blocker.execute(text("SELECT FROM toolsets FOR UPDATE"))
            blocker.execute(text("SELECT FROM projects FOR UPDATE"))
            blocker.execute(text("SELECT FROM organizations FOR UPDATE"))
            app = pool.submit(edit)
            assert eventually(lambda: bool(began) and waits_for_a_lock(engine), within=30)
            held = {"toolset": "toolsets", "project": "projects", "organization": "organizations"}[scope]
            blocker.execute(text(f"UPDATE {held} SET name = name"))  # as a rollback does that writes there
        assert app.result() == ("edits" if level == "READ COMMITTED" else "begins anew")
    isolated.dispose()
    with engine.connect() as connection:
        before = connection.execute(text(f"SELECT xmin FROM {held}")).scalar_one()
    roll_back(engine, billing, 1, allow_shared_impact=True)
    with engine.connect() as connection:
        assert connection.execute(text(f"SELECT xmin FROM {held}")).scalar_one() != before


HOLDS: dict[str, Callable[[Connection, Toolset], object]] = {
    "rollback": lambda connection, billing: hold_owners(connection, billing.id, written={"toolset"}),
    "pin": lambda connection, billing: hold_toolset(connection, billing.id),
    "editing": lambda connection, billing: hold_for_editing(connection, str(billing.id), "toolset"),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_toolset_that_moves_to_another_project_while_it_is_waited_for_is_still_there(
    engine: Engine, billing: Toolset, name: str
) -> None:
    elsewhere = billing.project.organization.project("elsewhere")

    def hold() -> str:
        try:
            with locking_transaction(engine) as connection:
                connection.exec_driver_sql("SET LOCAL lock_timeout = '30s'")
                HOLDS[name](connection, billing)
        except VersionConflict:
            return "tried again"
        return "held"

    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as app:
            app.execute(text("UPDATE toolsets SET project_id = :id"), {"id": elsewhere.id})
            holding = pool.submit(hold)
            assert eventually(lambda: waits_for_a_lock(engine), within=30)
        assert holding.result() == ("held" if name == "editing" else "tried again")


def test_what_an_apps_deferred_trigger_does_is_read_back_before_the_commit(engine: Engine, billing: Toolset) -> None:
    billing.move_tool(INVOICE, 9)
    trigger = """
        CREATE FUNCTION renumber() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN UPDATE toolset_tools SET position = position + 1 WHERE toolset_id = NEW.toolset_id; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER renumber AFTER UPDATE ON toolset_tools DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION renumber();
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(trigger)
    before = live_state(engine, billing)
    with pytest.raises(Exception, match="read back"):
        roll_back(engine, billing, 1)
    assert live_state(engine, billing) == before


def test_what_an_apps_trigger_does_when_the_pointer_moves_is_read_back(engine: Engine, billing: Toolset) -> None:
    billing.move_tool(INVOICE, 9)
    release(engine, billing)
    trigger = """
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.settings := '{"stamped": true}'; RETURN NEW; END $$;
        CREATE TRIGGER stamp BEFORE UPDATE ON toolsets FOR EACH ROW EXECUTE FUNCTION stamp();
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(trigger)
    with pytest.raises(Exception, match="read back"):
        roll_back(engine, billing, 1)
    assert captured_state(engine, billing, 2) == live_state(engine, billing)
    assert len(releases_of(engine, billing)) == 2


@pytest.mark.parametrize("when", ["CREATE TRIGGER", "CREATE CONSTRAINT TRIGGER"])
def test_what_an_apps_trigger_does_when_the_rollback_is_recorded_is_read_back(
    engine: Engine, billing: Toolset, when: str
) -> None:
    billing.move_tool(INVOICE, 9)
    deferred = "DEFERRABLE INITIALLY DEFERRED" if "CONSTRAINT" in when else ""
    trigger = f"""
        CREATE FUNCTION renumber() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
        BEGIN UPDATE toolset_tools SET position = position + 1 WHERE toolset_id = NEW.toolset_id; RETURN NULL; END $$;
        {when} renumber AFTER INSERT ON toolset_rollbacks {deferred} FOR EACH ROW EXECUTE FUNCTION renumber();
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(trigger)
    before = live_state(engine, billing)
    with pytest.raises(Exception, match="read back"):
        roll_back(engine, billing, 1)
    assert live_state(engine, billing) == before


def test_a_value_that_an_apps_own_index_keeps_unique_goes_back_to_the_row_that_had_it(
    engine: Engine, billing: Toolset
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE UNIQUE INDEX ON variations ((config ->> 'name'))")
    billing.project.organization.unvary(INVOICE)
    billing.project.organization.vary(REFUND, {"name": "make_invoice"})
    roll_back(engine, billing, 1, allow_shared_impact=True)
    assert captured_state(engine, billing, 1) == live_state(engine, billing)


def test_a_session_without_a_transaction_cannot_be_joined(engine: Engine, billing: Toolset) -> None:
    autocommitting = create_engine(engine.url, isolation_level="AUTOCOMMIT")
    client = ReleaseClient(broker_url="redis://127.0.0.1:1/0")
    with Session(autocommitting) as session:
        with pytest.raises(InvalidRequest, match="AUTOCOMMIT"):
            client.editing(session, billing.path)
        with pytest.raises(InvalidRequest, match="AUTOCOMMIT"):
            client.create_release(billing.path, actor="app", session=session)
    autocommitting.dispose()


def test_a_path_means_one_toolset_also_if_another_names_the_wrong_organization(
    engine: Engine, billing: Toolset
) -> None:
    rival = a_full_toolset(engine, organization="rival")
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE toolsets SET organization_id = :ours WHERE id = :theirs"),
            {"ours": billing.project.organization.id, "theirs": rival.id},
        )
    with ledger_transaction(engine) as connection:
        assert find_toolset(connection, billing.path).toolset_id == billing.id
