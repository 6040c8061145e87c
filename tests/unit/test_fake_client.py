"""`FakeReleaseClient`: what an app's own tests stand on."""

from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.domain.requests.kinds import KINDS
from release_worker.domain.requests.rollback import Destination
from release_worker.errors import (
    BrokerUnavailable,
    IdempotencyConflict,
    InvalidRequest,
    NotConfigured,
    ReleaseNotFound,
    RequestNotFound,
    ToolsetNotFound,
)
from release_worker.testing import FakeReleaseClient
from tests.support.kinds import VALID

TOOLSET = "acme/payments/billing"


def test_it_is_a_client_for_whoever_takes_one() -> None:
    client: ReleaseClient = FakeReleaseClient()
    assert client.create_release(TOOLSET, actor="ci").result(timeout=1).release_number == 1


def test_releases_are_numbered_for_each_toolset_and_rollbacks_move_what_is_current() -> None:
    client = FakeReleaseClient()
    numbers = [client.create_release(name, actor="ci").result().release_number for name in (TOOLSET, TOOLSET, "a/b/c")]
    assert numbers == [1, 2, 1]
    done = client.rollback(TOOLSET, 1, actor="oncall").result()
    assert (done.from_release_number, done.to_release_number, done.current_release_number) == (2, 1, 1)
    assert client.status(TOOLSET).result().current_release_number == 1


@pytest.mark.parametrize(("to", "number"), [("current", 3), ("previous", 2), ("last_good", 1), ("undo", 1)])
def test_a_rollback_to_what_a_worker_would_look_up_goes_there(to: Any, number: int) -> None:
    client = FakeReleaseClient()
    for _ in range(2):
        client.create_release(TOOLSET, actor="ci")
    client.rollback(TOOLSET, 1, actor="oncall")
    client.rollback(TOOLSET, 2, actor="oncall")  # which leaves 1
    client.create_release(TOOLSET, actor="ci")
    client.mark(TOOLSET, 2, "bad", actor="ci")
    planned = client.rollback(TOOLSET, to=to, dry_run=True, actor="oncall").result()
    assert (planned.to_release_number, planned.current_release_number) == (number, 3)
    done = client.rollback(TOOLSET, to=to, actor="oncall").result()
    assert (done.from_release_number, done.to_release_number, done.current_release_number) == (3, number, number)
    assert done.noop == (to == "current")


def test_what_was_rolled_back_to_has_its_own_release_before_it_and_an_undo_can_be_undone() -> None:
    client = FakeReleaseClient()
    client.create_release(TOOLSET, actor="ci")
    client.create_release(TOOLSET, actor="ci")
    client.rollback(TOOLSET, 1, actor="oncall")
    client.create_release(TOOLSET, actor="ci")
    destinations: list[Destination] = ["previous", "undo", "undo"]
    went = [client.rollback(TOOLSET, to=to, actor="x").result() for to in destinations]
    assert [one.current_release_number for one in went] == [1, 3, 1]


@pytest.mark.parametrize("to", ["current", "previous", "last_good", "undo"])
def test_a_rollback_to_what_is_not_there_fails_unless_the_test_says_what_comes_of_it(to: Any) -> None:
    client = FakeReleaseClient()
    handle = client.rollback(TOOLSET, to=to, actor="oncall")
    with pytest.raises(ReleaseNotFound) as raised:
        handle.result()
    assert raised.value.details == {"toolset": TOOLSET, "to": to}
    assert handle.status() == "failed"
    client.will_return("rollback", to_release_number=7)
    done = client.rollback(TOOLSET, to=to, actor="oncall").result()
    assert (done.to_release_number, done.current_release_number) == (7, 7)


def test_it_keeps_what_was_asked_in_its_order() -> None:
    client = FakeReleaseClient()
    client.create_release(TOOLSET, actor="ci", notes="build 991")
    client.rollback(TOOLSET, 1, actor="oncall")
    assert [one.kind for one in client.seen] == ["create_release", "rollback"]
    [asked] = client.asked("create_release")
    assert (asked.toolset, asked.notes) == (TOOLSET, "build 991")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_an_answer_that_is_one_of_its_results(kind: str) -> None:
    client = FakeReleaseClient()
    handle = client._submit(kind, {"toolset": TOOLSET, "actor": "ci", **VALID[kind]}, None)
    assert type(handle.result()) is KINDS[kind].result


def test_a_test_says_what_comes_of_requests_of_a_kind_or_of_one_toolset() -> None:
    client = FakeReleaseClient()
    client.will_return("create_release", release_number=41, created=False)
    client.will_raise("create_release", ReleaseNotFound(toolset="a/b/c", release_number=3), toolset="a/b/c")
    made = client.create_release(TOOLSET, actor="ci").result()
    assert (made.release_number, made.created) == (41, False)
    with pytest.raises(ReleaseNotFound):
        client.create_release("a/b/c", actor="ci").result()


def test_what_cannot_be_asked_for_is_refused_at_once_and_not_kept() -> None:
    client = FakeReleaseClient()
    client.will_refuse("create_release", BrokerUnavailable(reason="away"), toolset=TOOLSET)
    with pytest.raises(BrokerUnavailable):
        client.create_release(TOOLSET, actor="ci")
    assert client.seen == []
    assert client.create_release("a/b/c", actor="ci").result().release_number == 1
    client.will_return("create_release", toolset=TOOLSET)
    assert client.create_release(TOOLSET, actor="ci").result().release_number == 1


def test_the_last_word_on_a_kind_counts_and_no_field_means_as_at_first() -> None:
    client = FakeReleaseClient()
    client.will_return("create_release", release_number=41)
    client.will_refuse("create_release", BrokerUnavailable(reason="away"))
    client.will_raise("create_release", ReleaseNotFound(toolset=TOOLSET, release_number=3))
    with pytest.raises(ReleaseNotFound):
        client.create_release(TOOLSET, actor="ci").result()
    client.will_return("create_release")  # what failed has made no release
    assert client.create_release(TOOLSET, actor="ci").result().release_number == 1


def test_what_a_test_says_wrongly_is_refused() -> None:
    client = FakeReleaseClient()
    with pytest.raises(ValueError, match="releasenumber"):
        client.will_return("create_release", releasenumber=41)
    with pytest.raises(InvalidRequest):
        client.will_raise("release", ReleaseNotFound())
    with pytest.raises(InvalidRequest):
        client.will_refuse("release", ReleaseNotFound())


def test_keys_mean_what_they_mean_in_the_ledger() -> None:
    client = FakeReleaseClient()
    first = client.create_release(TOOLSET, actor="ci", idempotency_key="k")
    again = client.create_release(TOOLSET, actor="ci", idempotency_key="k", notes=None)
    assert (again.id, again.result().release_number, len(client.seen)) == (first.id, 1, 1)
    assert client.create_release("a/b/c", actor="ci", idempotency_key="k").id != first.id
    with pytest.raises(IdempotencyConflict) as raised:
        client.create_release(TOOLSET, actor="ci", idempotency_key="k", notes="other")
    assert raised.value.details == {"idempotency_key": "k", "request_id": first.id, "differing": ["notes"]}


def test_what_is_wrong_with_a_request_is_said_as_the_real_client_says_it() -> None:
    client = FakeReleaseClient(toolsets={TOOLSET})
    with pytest.raises(InvalidRequest):
        client.rollback("not a path", 1, actor="ci")
    with pytest.raises(ToolsetNotFound):
        client.create_release("a/b/c", actor="ci")
    assert client.seen == []


def test_a_handle_is_found_again_by_its_id_and_others_are_not_there() -> None:
    client = FakeReleaseClient()
    made = client.create_release(TOOLSET, actor="ci")
    assert client.handle(made.id).result() == made.result()
    with pytest.raises(RequestNotFound):
        client.handle("other")


@pytest.fixture
def session() -> Any:
    with Session(create_engine("sqlite://")) as session:
        yield session


def test_a_request_in_a_session_counts_once_it_has_committed(session: Session) -> None:
    client = FakeReleaseClient()
    undone = client.create_release(TOOLSET, actor="app", session=session)
    session.rollback()
    handle = client.create_release(TOOLSET, actor="app", session=session)
    assert client.seen == []
    for one in (undone, handle):
        with pytest.raises(InvalidRequest, match="commit the transaction"):
            one.result(timeout=1)
    session.commit()
    assert [one.id for one in client.seen] == [handle.id]
    assert handle.result().release_number == 1


def test_a_key_serves_within_a_transaction_and_is_free_again_if_that_is_undone(session: Session) -> None:
    client = FakeReleaseClient()

    def ask() -> str:
        return client.create_release(TOOLSET, actor="app", idempotency_key="k", session=session).id

    undone = ask()
    assert ask() == undone
    session.rollback()
    kept = ask()
    assert kept != undone
    assert ask() == kept
    session.commit()
    assert ask() == kept
    assert [one.id for one in client.seen] == [kept]


def test_what_needs_a_database_says_so() -> None:
    with pytest.raises(NotConfigured, match="a fake client has no database"):
        FakeReleaseClient().release_all(organization="acme", actor="ci")


def test_an_edit_of_a_toolset_is_checked_and_then_needs_a_database() -> None:
    client = FakeReleaseClient()
    with pytest.raises(InvalidRequest, match="add_tools"):
        client.edit_toolset("acme/payments/billing", add_tools=["a b"])
    with pytest.raises(InvalidRequest, match="path"):
        client.add_project("payments")
    with pytest.raises(NotConfigured, match="a fake client has no database"):
        client.edit_toolset("acme/payments/billing", add_tools=["tools:x"])
    with pytest.raises(NotConfigured, match="a fake client has no database"):
        client.toolsets()


def test_many_releases_are_each_asked_for() -> None:
    client = FakeReleaseClient()
    handles = client.create_releases(["a/b/c", {"toolset": "a/b/d", "notes": "mine"}], actor="app", notes="ours")
    assert [handle.result().release_number for handle in handles] == [1, 1]
    assert [one.request.model_dump()["notes"] for one in client.seen] == ["ours", "mine"]


MANY: list[Any] = [
    pytest.param({"toolset": "a/b/unknown"}, ToolsetNotFound, id="an unknown toolset"),
    pytest.param({"toolset": "a/b/refused"}, BrokerUnavailable, id="what a test refuses"),
    pytest.param({"toolset": "a/b/c", "idempotency_key": "k"}, IdempotencyConflict, id="a key of an earlier one"),
    pytest.param({"toolset": "a/b/d", "idempotency_key": "m"}, IdempotencyConflict, id="a key of its neighbour"),
]


def many(wrong: dict[str, Any]) -> tuple[FakeReleaseClient, list[Any]]:
    client = FakeReleaseClient(toolsets={"a/b/c", "a/b/d", "a/b/refused"})
    client.will_refuse("create_release", BrokerUnavailable(reason="away"), toolset="a/b/refused")
    client.create_release("a/b/c", actor="app", idempotency_key="k", notes="other")
    return client, [{"toolset": "a/b/d", "idempotency_key": "m", "notes": "first"}, wrong]


@pytest.mark.parametrize(("wrong", "error"), MANY)
def test_of_many_releases_all_are_accepted_or_none(
    session: Session, wrong: dict[str, Any], error: type[Exception]
) -> None:
    client, releases = many(wrong)
    for within in (None, session):
        with pytest.raises(error):
            client.create_releases(releases, session=within, actor="app")
        session.commit()
        assert len(client.seen) == 1


def test_many_releases_with_the_same_key_are_one(session: Session) -> None:
    client = FakeReleaseClient()
    for within in (None, session):
        handles = client.create_releases([TOOLSET, TOOLSET], session=within, actor="app", idempotency_key="k")
        session.commit()
        assert {handle.id for handle in handles} == {one.id for one in client.seen}
        assert len(client.seen) == 1
        client = FakeReleaseClient()


def test_a_handle_tells_how_its_request_ended() -> None:
    client = FakeReleaseClient()
    client.will_raise("rollback", ReleaseNotFound(toolset="a/b/c", release_number=9))
    done, failed = client.create_release("a/b/c", actor="app"), client.rollback("a/b/c", 9, actor="app")
    assert (done.status(), failed.status()) == ("succeeded", "failed")
