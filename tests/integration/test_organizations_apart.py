"""A caller that names its organization reaches nothing of another's: by no id, no path, no key."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Engine

from release_worker.errors import IdempotencyConflict, InvalidRequest, RequestNotFound, ToolsetNotFound
from release_worker.operations.retry_request import retry_request
from release_worker.store.engine import ledger_transaction
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.ledger import ask, ledger, mailbox, record
from tests.support.operations import release
from tests.support.records import releases_of, whole_database
from tests.support.world import Toolset

OPERATIONS: Mapping[str, dict[str, Any]] = {
    "create_release": {},
    "rollback": {"release_number": 1},
    "check_drift": {},
    "pin": {"release_number": 1},
    "prune": {"keep": 1},
}


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


def all_but_requests(engine: Engine) -> dict[str, Any]:
    return {table: rows for table, rows in whole_database(engine).items() if table != "release_requests"}


@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_toolset_of_another_organization_is_as_good_as_not_there(
    engine: Engine, acme: Toolset, rival: Toolset, kind: str
) -> None:
    before = all_but_requests(engine)
    for caller in ("rival", str(rival.project.organization.id), "nobody", "ACME", str(acme.id)):
        for reference in (acme.path, str(acme.id)):
            asked = ask(engine, reference, kind, organization=caller, **OPERATIONS[kind])
            with pytest.raises(ToolsetNotFound) as refused:
                mailbox(engine).work_until_done(asked).outcome()
            assert refused.value.details == {"toolset": reference}
            assert record(engine, asked).toolset_id is None
    assert all_but_requests(engine) == before


@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_toolset_of_the_callers_organization_is_reached_by_either_name(
    engine: Engine, acme: Toolset, kind: str
) -> None:
    for caller in ("acme", str(acme.project.organization.id)):
        for reference in (acme.path, str(acme.id)):
            asked = ask(engine, reference, kind, organization=caller, **OPERATIONS[kind])
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
        mailbox(engine).work_until_done(stolen).outcome()
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
