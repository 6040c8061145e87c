"""What others write into the ledger is checked as a request, or fails alone with its reason."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from release_worker.domain.outcomes import Succeeded
from release_worker.domain.request_record import RequestRecord
from release_worker.domain.requests.kinds import validate_request
from release_worker.errors import IdempotencyConflict, InvalidRequest, ToolsetNotFound
from release_worker.operations.retry_request import retry_request
from release_worker.operations.sweep import SweepPolicy, Swept, sweep
from release_worker.store.accepting import accept_request
from release_worker.store.engine import ledger_transaction
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset
from tests.support.ledger import ask, grow_old, mailbox, record
from tests.support.operations import ACTOR
from tests.support.records import releases_of
from tests.support.world import Toolset

MINIMAL = {"toolset": "acme/payments/billing", "actor": ACTOR}


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def write(engine: Engine, billing: Toolset | None, request_id: str = "by-hand", **columns: Any) -> str:
    """Insert a row with the columns that an app may write."""
    row = {
        "id": request_id,
        "kind": "create_release",
        "toolset_id": None if billing is None else billing.id,
        "idempotency_key": None,
        "payload": json.dumps(MINIMAL),
        "requested_by": "an app",
        **columns,
    }
    insert = text(
        "INSERT INTO release_requests (id, kind, toolset_id, idempotency_key, payload, requested_by)"
        " VALUES (:id, :kind, :toolset_id, :idempotency_key, CAST(:payload AS jsonb), :requested_by)"
    )
    with engine.begin() as connection:
        connection.execute(insert, row)
    return request_id


def swept(engine: Engine) -> tuple[Swept, list[dict[str, Any]]]:
    """A sweep, long after, and the arguments of what it published."""
    published: list[dict[str, Any]] = []

    def publish(overdue: RequestRecord) -> None:
        published.append(overdue.arguments)

    grow_old(engine, 100)
    return sweep(engine, publish, attempts=3, policy=SweepPolicy(patience=15)), published


NO_REQUESTS: dict[str, dict[str, Any]] = {
    "a list": {"payload": "[]"},
    "a text": {"payload": '"create_release"'},
    "no kind": {"kind": ""},
    "a kind of several words": {"kind": "create release; drop"},
    "no id": {"request_id": ""},
    "an id of several lines": {"request_id": "a\nb"},
    "a long id": {"request_id": "x" * 256},
    "an empty key": {"idempotency_key": ""},
    "a long key": {"idempotency_key": "x" * 201},
    "nobody": {"requested_by": ""},
    "depth": {"payload": '{"labels": ' + "[" * 300 + "]" * 300 + "}"},
    "size": {"payload": json.dumps({"notes": "x" * 1_000_001})},
}


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_a_row_that_cannot_be_a_request_is_refused_by_the_database(engine: Engine, billing: Toolset, name: str) -> None:
    with pytest.raises(IntegrityError, match=r"release_requests_\w+_check"):
        write(engine, billing, **NO_REQUESTS[name])


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_nor_is_it_taken_for_no_toolset_where_it_would_have_ended_at_once(engine: Engine, name: str) -> None:
    with pytest.raises(IntegrityError, match="the row has not the form of a request"):
        write(engine, None, **NO_REQUESTS[name])


WRONG: dict[str, dict[str, Any]] = {
    "an unknown kind": {"kind": "nonsense"},
    "nothing": {"payload": "{}"},
    "an unknown field": {"payload": json.dumps({**MINIMAL, "colour": "red"})},
    "a wrong type": {"kind": "rollback", "payload": json.dumps({**MINIMAL, "release_number": "1"})},
    "a number of very many digits": {"kind": "rollback", "payload": '{"release_number": 1' + "0" * 5000 + "}"},
    "a huge exponent": {"kind": "rollback", "payload": '{"release_number": 1e100000}'},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_row_that_is_no_request_fails_with_its_reason_and_the_sweep_goes_on(
    engine: Engine, billing: Toolset, name: str
) -> None:
    wrong = write(engine, billing, **WRONG[name])
    good = ask(engine, a_full_toolset(engine, organization="rival"))
    done, published = swept(engine)
    assert (done.published, done.refused) == ((good,), (wrong,))
    assert [arguments["toolset"] for arguments in published] == ["rival/payments/billing"]
    failed = record(engine, wrong)
    assert failed.status == "failed"
    assert failed.finished_at is not None
    assert isinstance(failed.stored_error(), InvalidRequest)
    assert str(failed.stored_error())


@pytest.mark.parametrize("name", WRONG)
def test_a_row_that_is_no_request_does_not_hold_up_its_toolsets_others(
    engine: Engine, billing: Toolset, name: str
) -> None:
    wrong = write(engine, billing, **WRONG[name])
    behind = ask(engine, billing)
    assert mailbox(engine).work_until_done(behind).status == "succeeded"
    assert isinstance(record(engine, wrong).stored_error(), InvalidRequest)


@pytest.mark.parametrize("name", WRONG)
def test_a_row_that_is_no_request_cannot_be_brought_back(engine: Engine, billing: Toolset, name: str) -> None:
    wrong = write(engine, billing, **WRONG[name])
    swept(engine)
    with pytest.raises(InvalidRequest), ledger_transaction(engine) as connection:
        retry_request(connection, wrong)
    assert record(engine, wrong).status == "failed"


def test_a_row_by_hand_that_leaves_defaults_out_is_published_and_carried_out(engine: Engine, billing: Toolset) -> None:
    by_hand = write(engine, billing)
    done, [arguments] = swept(engine)
    assert done.published == (by_hand,)
    accepted = Inbox(engine).accept("create_release", Message(by_hand, [], arguments, in_ledger=True))
    assert isinstance(mailbox(engine).work(accepted), Succeeded)
    assert len(releases_of(engine, billing)) == 1


def test_a_row_by_hand_without_a_toolset_has_failed_when_it_is_written(engine: Engine, billing: Toolset) -> None:
    failed = record(engine, write(engine, billing, toolset_id=None))
    assert (failed.status, failed.stored_error().details) == ("failed", {"toolset": MINIMAL["toolset"]})
    assert isinstance(failed.stored_error(), ToolsetNotFound)


def test_a_row_by_hand_for_a_toolset_id_that_means_none_finds_none(engine: Engine, billing: Toolset) -> None:
    by_hand = write(engine, billing, toolset_id="00000000-0000-7000-8000-000000000000")
    failed = mailbox(engine).work_until_done(by_hand)
    assert isinstance(failed.stored_error(), ToolsetNotFound)


SAME: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "defaults, said and left out": ("create_release", {}, {"only_if_changed": False, "notes": None}),
    "labels, empty and none": ("create_release", {"labels": {}}, {}),
    "numbers of one value": ("create_release", {"labels": {"n": 1.0}}, {"labels": {"n": 1}}),
    "a field of another order": (
        "rollback",
        {"release_number": 1, "on_missing": "fail"},
        {"on_missing": "fail", "release_number": 1, "components": None},
    ),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("arranged", [lambda one, other: (one, other), lambda one, other: (other, one)])
def test_a_key_is_that_of_the_same_request_however_completely_its_row_was_written(
    engine: Engine, billing: Toolset, name: str, arranged: Callable[[Any, Any], tuple[Any, Any]]
) -> None:
    kind, *fields = SAME[name]
    written, sent = arranged(*fields)
    by_hand = write(engine, billing, kind=kind, idempotency_key="k", payload=json.dumps({**MINIMAL, **written}))
    request = validate_request(kind, {**MINIMAL, **sent, "idempotency_key": "k"})
    with ledger_transaction(engine) as connection:
        assert accept_request(connection, request, request_id="other").record.id == by_hand
        different = request.model_copy(update={"actor": "somebody else"})
        with pytest.raises(IdempotencyConflict):
            accept_request(connection, different, request_id="third")


def test_a_key_of_a_row_that_is_no_request_is_used_up(engine: Engine, billing: Toolset) -> None:
    write(engine, billing, idempotency_key="k", payload="{}")
    request = validate_request("create_release", {**MINIMAL, "idempotency_key": "k"})
    with pytest.raises(IdempotencyConflict), ledger_transaction(engine) as connection:
        accept_request(connection, request, request_id="other")
