"""A request belongs to the toolset that its name meant when it was accepted."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.requests.kinds import validate_request
from release_worker.errors import InvalidRequest, ToolsetNotFound
from release_worker.operations.retry_request import retry_request
from release_worker.store.accepting import accept_request
from release_worker.store.engine import ledger_transaction
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.kinds import CARRIED_OUT
from tests.support.ledger import ask, ledger, mailbox, record
from tests.support.live_state import live_state
from tests.support.operations import ACTOR, release
from tests.support.readiness import ready_for
from tests.support.records import current_number, releases_of, rollbacks_of
from tests.support.world import Toolset, World


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Released once, then edited."""
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    return billing


def replaced_in_its_project(engine: Engine, billing: Toolset) -> Toolset:
    """Another toolset of the same path, which has a release too."""
    billing.rows.update("toolsets", {"id": billing.id}, slug="former")
    other = billing.project.toolset("billing", tools=["tools:other"])
    release(engine, other)
    return other


def replaced_in_another_organization(engine: Engine, billing: Toolset) -> Toolset:
    """The organization's slug changes hands, and with it the whole path."""
    organization = billing.project.organization
    billing.rows.update("organizations", {"id": organization.id}, slug="former", name="Former")
    other = World(engine).organization(organization.slug).project("payments").toolset("billing")
    release(engine, other)
    return other


def own_state(engine: Engine, toolset: Toolset) -> dict[str, object]:
    """What no rollback of another toolset touches."""
    state = live_state(engine, toolset)
    return {name: state[name] for name in ("tools", "resources", "settings", "toolset_variations")}


REPLACED: list[Callable[[Engine, Toolset], Toolset]] = [replaced_in_its_project, replaced_in_another_organization]


@pytest.mark.parametrize("replaced", REPLACED)
def test_a_rollback_rolls_back_the_toolset_that_it_was_asked_for_and_not_one_that_took_its_name(
    engine: Engine, billing: Toolset, replaced: Callable[[Engine, Toolset], Toolset]
) -> None:
    asked = ask(engine, billing.path, "rollback", release_number=1, allow_shared_impact=True)
    other = replaced(engine, billing)
    others = own_state(engine, other)
    done = mailbox(engine).work_until_done(asked)
    assert done.status == "succeeded"
    assert done.result is not None
    assert done.result["toolset_id"] == str(billing.id)
    assert current_number(engine, billing) == 1
    assert len(rollbacks_of(engine, billing)) == 1
    assert rollbacks_of(engine, other) == []
    assert own_state(engine, other) == others


@pytest.mark.parametrize("replaced", REPLACED)
@pytest.mark.parametrize("kind", CARRIED_OUT)
def test_every_kind_of_request_goes_by_the_id(
    engine: Engine, billing: Toolset, replaced: Callable[[Engine, Toolset], Toolset], kind: str
) -> None:
    fields = {**CARRIED_OUT[kind], **ready_for(engine, kind, billing)}
    asked = ask(engine, billing.path, kind, **fields)
    replaced(engine, billing)
    done = mailbox(engine).work_until_done(asked)
    assert done.result is not None
    answered_for = done.result["parent_toolset_id" if kind == "stage" else "toolset_id"]
    assert (done.toolset_id, answered_for) == (billing.id, str(billing.id))


@pytest.mark.parametrize("replaced", REPLACED)
def test_a_request_that_is_brought_back_still_belongs_to_its_toolset(
    engine: Engine, billing: Toolset, replaced: Callable[[Engine, Toolset], Toolset]
) -> None:
    asked = ask(engine, billing.path, "rollback", release_number=2)
    assert mailbox(engine).work_until_done(asked).status == "failed"
    release(engine, billing)
    replaced(engine, billing)
    with ledger_transaction(engine) as connection:
        retry_request(connection, asked)
    done = mailbox(engine).work_until_done(asked)
    assert done.result is not None
    assert (done.result["toolset_id"], done.result["to_release_number"]) == (str(billing.id), 2)


@pytest.mark.parametrize("replaced", REPLACED)
def test_a_message_that_arrives_again_after_the_name_changed_hands_is_the_same_request(
    engine: Engine, billing: Toolset, replaced: Callable[[Engine, Toolset], Toolset]
) -> None:
    message = Message("sent-twice", [], {"toolset": billing.path, "actor": ACTOR}, in_ledger=False)
    first = Inbox(engine).accept("create_release", message)
    other = replaced(engine, billing)
    assert Inbox(engine).accept("create_release", message).id == first.id
    mailbox(engine).work_until_done(first.id)
    assert (len(releases_of(engine, billing)), len(releases_of(engine, other))) == (2, 1)


def test_a_request_whose_toolset_was_deleted_before_it_ran_finds_none(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing.path)
    billing.delete()
    failed = mailbox(engine).work_until_done(asked)
    assert isinstance(failed.stored_error(), ToolsetNotFound)


def test_a_request_for_a_toolset_that_is_not_there_never_runs_also_if_it_comes_to_be_or_is_brought_back(
    engine: Engine, billing: Toolset
) -> None:
    asked = ask(engine, "acme/payments/later")
    billing.project.toolset("later")
    before = ledger(engine)
    with pytest.raises(InvalidRequest, match="refused"), ledger_transaction(engine) as connection:
        retry_request(connection, asked)
    assert ledger(engine) == before
    assert isinstance(record(engine, asked).stored_error(), ToolsetNotFound)


def test_a_key_has_one_effect_also_if_its_first_use_came_before_the_toolsets_own_commit(
    engine: Engine, billing: Toolset
) -> None:
    request = validate_request(
        "create_release", {"toolset": "acme/payments/later", "actor": ACTOR, "idempotency_key": "once"}
    )
    insert = text(
        "INSERT INTO toolsets (organization_id, project_id, slug, name) VALUES (:organization, :project, 'later', 'L')"
    )
    owners = {"organization": billing.project.organization.id, "project": billing.project.id}
    with engine.begin() as app:
        app.execute(insert, owners)
        with ledger_transaction(engine) as connection:
            first = accept_request(connection, request, request_id="first").record
    with ledger_transaction(engine) as connection:
        second = accept_request(connection, request, request_id="second").record
        third = accept_request(connection, request, request_id="third").record
    for one in (first, second, third):
        mailbox(engine).work_until_done(one.id)
    assert [(row.id, row.status) for row in ledger(engine)] == [("first", "failed"), ("second", "succeeded")]
    assert third.id == "second"
    with engine.connect() as connection:
        made = "SELECT count(*) FROM toolset_releases r JOIN toolsets t ON t.id = toolset_id WHERE slug = 'later'"
        assert connection.execute(text(made)).scalar_one() == 1
