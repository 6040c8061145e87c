"""Requests as values: when two ask for the same, what a row of the ledger says, and how a message is addressed."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

import pytest

from release_worker.broker.routing import BEHIND_OTHERS, IN_LEDGER, TOOLSET, Row, addresses, envelope
from release_worker.domain.outcomes import Failed, Succeeded
from release_worker.domain.request_record import Claim, RequestRecord
from release_worker.domain.requests.check_drift import CheckDrift, CheckDriftResult
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.domain.requests.pin import PinResult
from release_worker.domain.requests.request import Request
from release_worker.domain.requests.rollback import Rollback
from release_worker.domain.subject import Subject
from release_worker.errors import InvalidRequest, ReleaseNotFound, ReleaseWorkerError
from tests.support.kinds import VALID

PATH, ID = "acme/payments/billing", "0193a3c1-0000-7000-8000-000000000001"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def request(kind: str = "create_release", **fields: Any) -> Request:
    return validate_request(kind, {"toolset": PATH, "actor": "x", **fields})


def record(**columns: Any) -> RequestRecord:
    row = RequestRecord(
        id="request-1",
        seq=1,
        kind="rollback",
        toolset_id=UUID(ID),
        idempotency_key=None,
        payload={"toolset": PATH, "actor": "x", "release_number": Decimal(3)},
        status="queued",
        attempts=0,
        next_attempt_at=None,
        worker=None,
        lease_until=None,
        result=None,
        error=None,
        requested_by="x",
        created_at=NOW,
        started_at=None,
        finished_at=None,
    )
    return replace(row, **columns)


@pytest.mark.parametrize(
    "otherwise",
    [{"toolset": ID}, {"organization": "acme"}, {"idempotency_key": "k"}, {"notes": None, "labels": {}}],
    ids=["its id", "its organization", "a key", "defaults written out"],
)
def test_who_names_the_toolset_otherwise_asks_for_the_same(otherwise: dict[str, Any]) -> None:
    assert request().asks_the_same(request(**otherwise))
    assert request(**otherwise).asks_the_same(request())


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("create_release", {}, {"actor": "y"}),
        ("create_release", {}, {"notes": "n"}),
        ("create_release", {}, {"only_if_changed": True}),
        ("create_release", {"expected_current_release": 1}, {"expected_current_release": 2}),
        ("create_release", {"labels": {"a": 1}}, {"labels": {"a": True}}),
        ("create_release", {"labels": {"a": None}}, {}),
        ("rollback", {"release_number": 1}, {"release_number": 2}),
        ("rollback", {"release_number": 1}, {"release_number": 1, "components": ["tools"]}),
        ("pin", {"release_number": 1}, {"release_number": 1, "pinned": False}),
        ("prune", {"keep": 1}, {"keep": 2}),
        ("publish", {}, {"notes": "n"}),
        ("set_mode", {"mode": "staging"}, {"mode": "iteration"}),
        ("import_bundle", {"bundle": "0" * 64}, {"bundle": "1" * 64}),
        ("import_bundle", {"bundle": "0" * 64}, {"bundle": "0" * 64, "allow_shared_impact": True}),
        ("mark", {"release_number": 1, "mark": "bad"}, {"release_number": 1, "mark": "good"}),
        ("diff", {"release_number": 1}, {"release_number": 1, "to": 2}),
        ("diff", {"release_number": 1}, {"release_number": 1, "key": "config/*"}),
    ],
)
def test_who_asks_for_anything_else_does_not_ask_for_the_same(
    kind: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert not request(kind, **one).asks_the_same(request(kind, **other))


def test_requests_of_two_kinds_never_ask_for_the_same() -> None:
    class Unlike(CheckDrift):
        kind: ClassVar[Any] = "unlike"

    assert not request("check_drift").asks_the_same(Unlike(toolset=PATH, actor="x"))


def test_numbers_are_the_same_by_value_and_keys_in_any_order() -> None:
    first, second = {"a": 1.0, "b": [1]}, {"b": [1], "a": 1}
    assert request(labels=first).asks_the_same(request(labels=second))


def test_two_requests_name_the_same_toolset_only_in_the_same_words() -> None:
    assert request(notes="n").names_the_same(request())
    for otherwise in ({"toolset": ID}, {"organization": "acme"}):
        assert not request().names_the_same(request(**otherwise))


def test_a_row_is_read_as_the_request_that_it_asks_for_with_its_key_and_defaults() -> None:
    found = record(idempotency_key="k")
    assert found.request() == request("rollback", release_number=3, idempotency_key="k")
    assert found.arguments == {
        "toolset": PATH,
        "actor": "x",
        "organization": None,
        "idempotency_key": "k",
        "release_number": 3,
        "reason": None,
        "components": None,
        "on_missing": "fail",
        "allow_shared_impact": False,
        "expected_current_release": None,
        "dry_run": False,
    }
    assert type(found.arguments["release_number"]) is int
    assert Claim("request-1", "rollback", 1, found.payload, UUID(ID)).request() == request("rollback", release_number=3)


@pytest.mark.parametrize(
    "columns",
    [{"kind": "nonsense"}, {"payload": {}}, {"payload": {"toolset": PATH, "actor": "x", "release_number": 0}}],
)
def test_a_row_that_asks_for_nothing_is_an_invalid_request(columns: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        record(**columns).request()


def test_a_row_whose_numbers_cannot_be_read_is_an_invalid_request() -> None:
    payload = {"toolset": PATH, "actor": "x", "release_number": Decimal("1e999999")}
    with pytest.raises(InvalidRequest, match=r"^the request cannot be read: ValueError$") as refused:
        record(payload=payload).request()
    assert refused.value.details == {"problems": []}


@pytest.mark.parametrize(
    ("status", "finished"), [("queued", False), ("running", False), ("succeeded", True), ("failed", True)]
)
def test_a_request_is_finished_when_it_succeeded_or_failed(status: str, finished: bool) -> None:
    assert record(status=status).finished is finished


def test_a_request_that_succeeded_has_its_result() -> None:
    result = {"toolset_id": ID, "drifted": False, "current_release_number": 2, "changes": {}}
    done = record(kind="check_drift", status="succeeded", result=result)
    assert done.outcome == Succeeded(result)
    expected = CheckDriftResult(toolset_id=UUID(ID), drifted=False, current_release_number=2, changes={})
    assert done.answer() == expected


def test_a_request_that_failed_has_its_error() -> None:
    error = ReleaseNotFound(toolset=PATH, release_number=9)
    failed = record(status="failed", error=error.as_record())
    assert isinstance(failed.outcome, Failed)
    assert str(failed.outcome.error) == str(failed.stored_error()) == str(error)
    with pytest.raises(ReleaseNotFound) as raised:
        failed.answer()
    assert raised.value.details == error.details


def test_a_request_that_failed_without_a_word_says_that_it_failed() -> None:
    with pytest.raises(ReleaseWorkerError, match=r"^the request failed$") as raised:
        record(status="failed").answer()
    assert type(raised.value) is ReleaseWorkerError


def test_a_message_has_the_tasks_name_its_id_its_queue_and_what_is_not_left_out() -> None:
    arguments = request("rollback", release_number=3).arguments()
    sent = envelope("rollback", "request-1", arguments, Row(UUID(ID)))
    assert sent == {
        "name": "release_worker.rollback",
        "task_id": "request-1",
        "queue": "rollbacks",
        "headers": {IN_LEDGER: True, TOOLSET: ID},
        "kwargs": {
            "toolset": PATH,
            "actor": "x",
            "release_number": 3,
            "on_missing": "fail",
            "allow_shared_impact": False,
            "dry_run": False,
        },
    }


def test_a_request_behind_others_of_its_toolset_lets_other_toolsets_pass_unless_it_is_a_rollback() -> None:
    def sent(kind: str, *, behind_others: bool) -> dict[str, Any]:
        return envelope(kind, "request-1", {}, Row(UUID(ID), behind_others))

    assert "priority" not in sent("create_release", behind_others=False)
    behind = sent("create_release", behind_others=True)
    assert (behind["priority"], behind["headers"]) == (BEHIND_OTHERS, {IN_LEDGER: True, TOOLSET: ID})
    assert "priority" not in sent("rollback", behind_others=True)
    assert envelope("pin", "request-1", {})["headers"] == {IN_LEDGER: False}


def test_a_subject_gives_components_the_ids_that_their_sql_may_refer_to() -> None:
    toolset, project, organization = (UUID(int=number) for number in (1, 2, 3))
    parameters = Subject(toolset, project, organization, PATH).parameters
    assert parameters == {"toolset_id": toolset, "project_id": project, "organization_id": organization}


def test_the_broker_is_told_for_both_directions() -> None:
    url = "redis://broker.test/0"
    assert addresses(url) == {"broker_url": url, "broker_read_url": url, "broker_write_url": url}


def test_the_fields_that_differ_are_named_but_for_how_the_toolset_is_named() -> None:
    assert request(notes="n").differing(request()) == ["notes"]
    assert request(notes="n").differing(request(actor="y", labels={"a": 1})) == ["actor", "notes", "labels"]
    assert request().differing(request(toolset="a/b/c", organization="a", idempotency_key="k")) == []
    assert request().differing(request("check_drift")) == ["kind"]


def test_a_field_that_came_later_is_left_out_until_it_is_used_so_that_an_older_worker_understands() -> None:
    plain = request("rollback", release_number=3)
    used = request("rollback", to="previous", allow_bad=True, override_freeze="why")
    for field in Rollback.later:
        assert field not in plain.payload()
        assert field not in plain.arguments()
        assert field in used.payload()
        assert field in used.arguments()


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if "override_freeze" in kind.model_fields])
def test_a_freeze_that_is_not_overridden_is_no_word_in_the_request(kind: str) -> None:
    plain, used = request(kind, **VALID[kind]), request(kind, **VALID[kind], override_freeze="why")
    assert "override_freeze" not in {**plain.payload(), **plain.arguments()}
    assert (used.payload()["override_freeze"], used.arguments()["override_freeze"]) == ("why", "why")
    assert plain.differing(used) == ["override_freeze"]


@pytest.mark.parametrize("reason", ["", " \n", "a\x00b", "x" * 10_001])
def test_a_freeze_is_not_overridden_without_a_reason(reason: str) -> None:
    with pytest.raises(InvalidRequest):
        request(override_freeze=reason)


def test_a_result_of_later_software_can_be_read() -> None:
    told = {"toolset_id": ID, "release_number": 1, "pinned": True, "something_new": [1]}
    assert PinResult.model_validate(told).pinned
