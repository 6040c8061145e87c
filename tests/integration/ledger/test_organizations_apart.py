"""A caller that names its organization reaches nothing of another's: by no id, no path, no key."""

from collections.abc import Callable, Mapping

import pytest
from sqlalchemy import Connection, Engine

from release_worker.errors import IdempotencyConflict, InvalidRequest, RequestNotFound, ToolsetNotFound
from release_worker.operations.retry_request import retry_request
from release_worker.queries.find_request import find_request
from release_worker.queries.history import describe_release, release_history
from release_worker.store.engine import ledger_transaction
from release_worker.store.owners.naming import find_toolset
from release_worker.store.requests import list_requests
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.kinds import CARRIED_OUT
from tests.support.ledger import ask, ledger, mailbox, record
from tests.support.operations import release
from tests.support.readiness import ready_for
from tests.support.records import all_but_requests, releases_of, whole_database
from tests.support.world import Toolset


@pytest.fixture
def acme(engine: Engine) -> Toolset:
    """A toolset with two releases and edits after them."""
    toolset = a_full_toolset(engine)
    release(engine, toolset)
    toolset.edit(name="Other")
    release(engine, toolset)
    edit_everything(toolset)
    return toolset


@pytest.fixture
def rival(engine: Engine) -> Toolset:
    toolset = a_full_toolset(engine, organization="rival")
    release(engine, toolset)
    return toolset


@pytest.fixture
def impostor(engine: Engine, acme: Toolset) -> Toolset:
    """A toolset of an organization whose slug is the id of `acme`."""
    toolset = a_full_toolset(engine, organization=str(acme.project.organization.id))
    release(engine, toolset)
    return toolset


@pytest.mark.parametrize("kind", CARRIED_OUT)
def test_a_toolset_of_another_organization_is_as_good_as_not_there(
    engine: Engine, acme: Toolset, rival: Toolset, kind: str
) -> None:
    fields = {**CARRIED_OUT[kind], **ready_for(engine, kind, acme)}
    before = all_but_requests(engine)
    for caller in ("rival", str(rival.project.organization.id), "nobody", "ACME", str(acme.id)):
        for reference in (acme.path, str(acme.id)):
            asked = ask(engine, reference, kind, organization=caller, **fields)
            with pytest.raises(ToolsetNotFound) as refused:
                mailbox(engine).work_until_done(asked).answer()
            assert refused.value.details == {"toolset": reference}
            assert record(engine, asked).toolset_id is None
    assert all_but_requests(engine) == before


@pytest.mark.parametrize("kind", CARRIED_OUT)
def test_a_toolset_of_the_callers_organization_is_reached_by_either_name(
    engine: Engine, acme: Toolset, kind: str
) -> None:
    for caller in ("acme", str(acme.project.organization.id)):
        for reference in (acme.path, str(acme.id)):
            fields = {**CARRIED_OUT[kind], **ready_for(engine, kind, acme)}
            asked = ask(engine, reference, kind, organization=caller, **fields)
            assert mailbox(engine).work_until_done(asked).status == "succeeded"


@pytest.mark.parametrize("named", ["its own toolset", "its own toolset, by name", "the other's toolset", "no toolset"])
def test_the_id_of_another_organizations_request_gives_nothing_away(
    engine: Engine, acme: Toolset, rival: Toolset, named: str
) -> None:
    """All else that the request says is the same."""
    done = mailbox(engine).work_until_done(ask(engine, acme, organization="acme", notes="n"))
    toolset = {"its own toolset": rival.path, "its own toolset, by name": str(rival.id), "no toolset": "rival/a/b"}
    arguments = {**done.arguments, "organization": "rival", "toolset": toolset.get(named, acme.path)}
    before = whole_database(engine)
    with pytest.raises(IdempotencyConflict) as conflict:
        Inbox(engine).accept("create_release", Message(done.id, [], arguments, in_ledger=False))
    assert "release" not in str(conflict.value.details)
    assert whole_database(engine) == before


def test_the_id_of_a_request_stands_for_no_other_toolset_even_unnamed(
    engine: Engine, acme: Toolset, rival: Toolset
) -> None:
    done = mailbox(engine).work_until_done(ask(engine, acme))
    arguments = {**done.arguments, "toolset": rival.path}
    with pytest.raises(IdempotencyConflict):
        Inbox(engine).accept("create_release", Message(done.id, [], arguments, in_ledger=False))
    by_id = {**done.arguments, "toolset": str(acme.id)}
    assert Inbox(engine).accept("create_release", Message(done.id, [], by_id, in_ledger=False)) == done


def test_a_request_that_is_delivered_again_after_its_toolset_was_deleted_is_still_itself(
    engine: Engine, acme: Toolset
) -> None:
    done = mailbox(engine).work_until_done(ask(engine, acme))
    acme.delete()
    assert Inbox(engine).accept("create_release", Message(done.id, [], done.arguments, in_ledger=True)) == done


def test_a_key_of_another_organization_is_not_used_up(engine: Engine, acme: Toolset, rival: Toolset) -> None:
    first = ask(engine, acme, organization="acme", idempotency_key="k")
    second = ask(engine, rival, organization="rival", idempotency_key="k")
    stolen = ask(engine, acme, organization="rival", idempotency_key="k")
    assert len({first, second, stolen}) == 3
    for request_id in (first, second):
        assert mailbox(engine).work_until_done(request_id).status == "succeeded"
    with pytest.raises(ToolsetNotFound):
        mailbox(engine).work_until_done(stolen).answer()
    assert [row.status for row in ledger(engine)] == ["succeeded", "succeeded", "failed"]
    assert (len(releases_of(engine, acme)), len(releases_of(engine, rival))) == (3, 2)


def test_a_failed_request_of_another_organization_cannot_be_brought_back(
    engine: Engine, acme: Toolset, rival: Toolset
) -> None:
    known = ask(engine, acme, "rollback", release_number=99)
    unknown = ask(engine, "acme/a/b", organization="acme")
    mailbox(engine).work_until_done(known)
    mailbox(engine).work_until_done(unknown)
    before = ledger(engine)
    for request_id in (known, unknown):
        for caller in ("rival", str(rival.project.organization.id), "nobody"):
            with pytest.raises(RequestNotFound), ledger_transaction(engine) as connection:
                retry_request(connection, request_id, organization=caller)
    assert ledger(engine) == before
    with ledger_transaction(engine) as connection:
        retry_request(connection, known, organization="acme")
    with pytest.raises(InvalidRequest), ledger_transaction(engine) as connection:
        retry_request(connection, unknown, organization="acme")
    assert [row.status for row in ledger(engine)] == ["queued", "failed"]


@pytest.mark.parametrize("kind", CARRIED_OUT)
def test_an_id_means_the_organization_of_this_id_and_not_one_of_such_a_slug(
    engine: Engine, acme: Toolset, impostor: Toolset, kind: str
) -> None:
    acmes_id = str(acme.project.organization.id)
    for caller in (acmes_id, acmes_id.upper()):
        fields = {**CARRIED_OUT[kind], **ready_for(engine, kind, acme)}
        for reference in (impostor.path, str(impostor.id)):
            with pytest.raises(ToolsetNotFound):
                mailbox(engine).work_until_done(ask(engine, reference, kind, organization=caller, **fields)).answer()
        asked = ask(engine, acme, kind, organization=caller, **fields)
        assert mailbox(engine).work_until_done(asked).status == "succeeded"
    fields = {**CARRIED_OUT[kind], **ready_for(engine, kind, impostor)}
    asked = ask(engine, impostor, kind, organization=str(impostor.project.organization.id), **fields)
    assert mailbox(engine).work_until_done(asked).status == "succeeded"


READS: Mapping[str, Callable[[Connection, Toolset, str, str], object]] = {
    "find_toolset": lambda connection, toolset, _, caller: find_toolset(connection, toolset.path, organization=caller),
    "list": lambda connection, toolset, _, caller: release_history(
        connection, toolset.path, limit=9, organization=caller
    ),
    "show": lambda connection, toolset, _, caller: describe_release(connection, toolset.path, 1, organization=caller),
    "requests show": lambda connection, _, request_id, caller: find_request(
        connection, request_id, organization=caller
    ),
    "requests retry": lambda connection, _, request_id, caller: retry_request(
        connection, request_id, organization=caller
    ),
}


@pytest.mark.parametrize(
    ("read", "named"),
    [(read, "a toolset") for read in READS] + [(read, "no toolset") for read in READS if read != "requests retry"],
)
def test_nothing_is_read_by_a_name_that_another_organization_took(
    engine: Engine, acme: Toolset, impostor: Toolset, read: str, named: str
) -> None:
    acmes, impostors = str(acme.project.organization.id), str(impostor.project.organization.id)
    ours, theirs = (
        failed_request(engine, one, caller, named) for one, caller in ((acme, acmes), (impostor, impostors))
    )
    with ledger_transaction(engine) as connection:
        assert READS[read](connection, acme, ours, acmes)
        assert READS[read](connection, impostor, theirs, impostors)
        for toolset, request_id, caller in ((impostor, theirs, acmes), (acme, ours, impostors)):
            with pytest.raises((ToolsetNotFound, RequestNotFound)):
                READS[read](connection, toolset, request_id, caller)


@pytest.mark.parametrize("named", ["a toolset", "no toolset"])
def test_requests_are_listed_for_their_own_organization_only(
    engine: Engine, acme: Toolset, impostor: Toolset, rival: Toolset, named: str
) -> None:
    ids = {one: failed_request(engine, one, str(one.project.organization.id), named) for one in (acme, impostor, rival)}
    with ledger_transaction(engine) as connection:
        for toolset, request_id in ids.items():
            listed = list_requests(connection, organization=str(toolset.project.organization.id))
            assert [row.id for row in listed] == [request_id]
        assert [row.id for row in list_requests(connection, organization="acme")] == [ids[acme]]
        assert list_requests(connection, organization="nobody") == []
        assert list_requests(connection, organization=str(acme.id)) == []
        assert len(list_requests(connection)) == 3


def test_a_request_that_names_no_organization_and_no_toolset_is_nobodys(engine: Engine, acme: Toolset) -> None:
    asked = ask(engine, "acme/a/b")
    with ledger_transaction(engine) as connection:
        assert find_request(connection, asked).id == asked
        for caller in ("acme", str(acme.project.organization.id), "nobody", str(acme.id)):
            assert list_requests(connection, organization=caller) == []
            with pytest.raises(RequestNotFound):
                find_request(connection, asked, organization=caller)


def failed_request(engine: Engine, toolset: Toolset, caller: str, named: str) -> str:
    """A request that failed, for the toolset or for one that is not there; its id."""
    if named == "a toolset":
        asked = ask(engine, toolset, "rollback", release_number=99, organization=caller)
    else:
        asked = ask(engine, f"{toolset.project.organization.slug}/a/b", organization=caller)
    mailbox(engine).work_until_done(asked)
    return asked
