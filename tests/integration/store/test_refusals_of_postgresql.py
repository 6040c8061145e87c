"""What PostgreSQL refuses is told in words that say who stands in the way, or what is missing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Connection, Engine, make_url, text

from release_worker import migrations
from release_worker.domain.requests.kinds import validate_request
from release_worker.errors import DatabaseUnavailable, IdempotencyConflict, VersionConflict
from release_worker.store.accepting import accept_request
from release_worker.store.engine import ledger_transaction, locking_transaction, make_engine
from release_worker.store.owners.holding import hold_owners, hold_toolset
from tests.support.billing import a_full_toolset
from tests.support.elsewhere import skip_elsewhere
from tests.support.ledger import ask
from tests.support.operations import release, roll_back
from tests.support.world import Toolset, World


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@contextmanager
def held_by_an_app(engine: Engine, take: str) -> Iterator[None]:
    with engine.connect() as app:
        app.execute(text(take))
        yield


def refused(engine: Engine, work: Callable[[Connection], object]) -> VersionConflict:
    """What an operation's transaction is told that does this."""
    with pytest.raises(VersionConflict) as conflict, locking_transaction(engine) as connection:
        work(connection)
    return conflict.value


@pytest.mark.parametrize("waits", [False, True], ids=["not waited for", "waited for in vain"])
def test_a_toolset_that_an_app_holds_is_named(engine: Engine, billing: Toolset, waits: bool) -> None:
    take = text("SELECT id FROM toolsets FOR UPDATE NOWAIT")
    with held_by_an_app(engine, "SELECT id FROM toolsets FOR UPDATE"):
        conflict = refused(engine, lambda one: hold_toolset(one, billing.id) if waits else one.execute(take))
    reason = "the toolset's row is held by another transaction"
    assert str(conflict) == reason
    assert conflict.details == {"reason": reason, "sqlstate": "55P03", "relation": "toolsets"}


@pytest.mark.parametrize("owner", ["projects", "organizations"])
def test_an_owner_that_an_app_holds_is_named(engine: Engine, billing: Toolset, owner: str) -> None:
    with held_by_an_app(engine, f"SELECT id FROM {owner} FOR UPDATE"):
        conflict = refused(engine, lambda one: hold_owners(one, billing.id, written=["toolset"]))
    assert str(conflict) == f"a row of {owner} is held by another transaction"
    assert conflict.details["relation"] == owner


def test_a_live_row_that_an_app_holds_is_named_by_a_rollback(engine: Engine, billing: Toolset) -> None:
    release(engine, billing)
    billing.edit(settings={"edited": True})
    held = held_by_an_app(engine, "SELECT 1 FROM toolset_tools FOR UPDATE")
    with held, pytest.raises(VersionConflict, match=r"^a row of toolset_tools is held by another"):
        roll_back(engine, billing, 1)


def test_a_table_that_is_locked_has_no_row_to_name(engine: Engine, billing: Toolset) -> None:
    with held_by_an_app(engine, "LOCK TABLE toolsets IN ACCESS EXCLUSIVE MODE"):
        conflict = refused(engine, lambda one: hold_toolset(one, billing.id))
    assert str(conflict) == "something that is needed is held by another transaction"
    assert conflict.details["relation"] is None


@skip_elsewhere("who may not use a schema does not find its tables")
def test_a_role_that_lacks_a_privilege_is_named_and_the_database_is_not_said_to_be_away(
    engine: Engine, database_url: str
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DO $$ BEGIN CREATE ROLE stranger LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"))
    stranger = make_engine(database_url.replace("postgres@", "stranger@"))
    with pytest.raises(DatabaseUnavailable) as refused, ledger_transaction(stranger) as connection:
        connection.execute(text("SELECT 1 FROM release_requests"))
    stranger.dispose()
    assert str(refused.value) == (
        "the database role stranger lacks a privilege: permission denied for table release_requests"
    )
    assert refused.value.details["sqlstate"] == "42501"


def test_a_database_that_does_not_exist_is_said_not_to(database_url: str) -> None:
    nowhere = make_engine(make_url(database_url).set(database="nowhere").render_as_string(hide_password=False))
    with pytest.raises(DatabaseUnavailable) as refused, ledger_transaction(nowhere):
        raise AssertionError("there is no such database")
    nowhere.dispose()
    assert str(refused.value) == "the database nowhere does not exist"
    assert refused.value.details["sqlstate"] == "3D000"


@skip_elsewhere("who may not use a schema does not find its functions")
def test_the_id_of_a_request_that_its_caller_may_not_know_of_is_used_already(engine: Engine, billing: Toolset) -> None:
    theirs = ask(engine, World(engine).organization("other").project("p").toolset("t"))
    request = validate_request("create_release", {"toolset": billing.path, "actor": "app"})
    with (
        bound_to("acme", engine) as caller,
        pytest.raises(IdempotencyConflict) as conflict,
        ledger_transaction(caller) as connection,
    ):
        accept_request(connection, request, request_id=theirs)
    assert str(conflict.value) == f"request id {theirs} is used already"
    assert conflict.value.details == {"idempotency_key": theirs, "request_id": theirs, "differing": ["toolset"]}


@contextmanager
def bound_to(organization: str, engine: Engine) -> Iterator[Engine]:
    """As a user who may only ask, and only for this organization."""
    name = f"user_{uuid4().hex[:12]}"
    own = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(own, autocommit=True) as owner:
        owner.execute(migrations.grants())
        owner.execute(f"CREATE ROLE {name} LOGIN IN ROLE release_worker_caller")
        listed = "INSERT INTO release_callers SELECT %s, id FROM organizations WHERE slug = %s"
        owner.execute(listed, (name, organization))
        caller = make_engine(engine.url.set(username=name).render_as_string(hide_password=False))
        try:
            yield caller
        finally:
            caller.dispose()
            owner.execute(f"DROP ROLE {name}")
            roles = ", ".join(f"release_worker_{role}" for role in ("app", "worker", "reader", "caller"))
            owner.execute(f"DROP OWNED BY {roles}")
