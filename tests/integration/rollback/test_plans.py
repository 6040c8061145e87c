"""A plan says what a rollback would do, also if it would be refused; applied, it does exactly that, or nothing."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.request_record import RequestRecord
from release_worker.errors import (
    InvalidRequest,
    ReleaseMarkedBad,
    ReleaseWorkerError,
    RequestNotFound,
    SharedStateImpact,
    StaleState,
)
from tests.support.billing import INVOICE, REFUND, a_full_toolset, active_deployment, edit_everything
from tests.support.ledger import ask, mailbox
from tests.support.live_state import live_state
from tests.support.records import all_but_requests, current_number, releases_of, rollbacks_of
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Live state is what release 1 holds."""
    billing = a_full_toolset(engine)
    work(engine, billing, "create_release")
    return billing


def work(engine: Engine, toolset: Toolset, kind: str, **fields: Any) -> RequestRecord:
    """What the ledger says of a request that a worker has done."""
    return mailbox(engine).work_until_done(ask(engine, toolset, kind, **fields))


def plan(engine: Engine, toolset: Toolset, **fields: Any) -> dict[str, Any]:
    """The stored answer of a plan that a worker has made."""
    options = {"release_number": 1, "allow_shared_impact": True, **fields}
    planned = work(engine, toolset, "rollback", dry_run=True, **options)
    assert planned.result is not None, planned.error
    assert planned.result["plan_id"] == planned.id
    return planned.result


def applied(engine: Engine, toolset: Toolset, plan_id: str, **fields: Any) -> dict[str, Any]:
    """The stored answer of a plan that was applied. Raises its error."""
    done = work(engine, toolset, "apply_plan", plan_id=plan_id, **fields)
    done.answer()
    assert done.result is not None
    return done.result


def moved(engine: Engine, toolset: Toolset, plan_id: str) -> list[str]:
    """What a plan that is refused says has moved; and that nothing was changed."""
    before = all_but_requests(engine)
    with pytest.raises(StaleState) as stale:
        applied(engine, toolset, plan_id)
    assert all_but_requests(engine) == before
    assert stale.value.details["plan_id"] == plan_id
    return list(stale.value.details["moved"])


def test_a_plan_is_done_exactly_as_it_was_shown(engine: Engine, billing: Toolset) -> None:
    released = live_state(engine, billing)
    edit_everything(billing)
    planned = plan(engine, billing, reason="bad prompt")

    done = applied(engine, billing, planned["plan_id"], actor="oncall")

    assert live_state(engine, billing) == released
    assert done["changes"] == planned["changes"]
    assert (planned["dry_run"], done["dry_run"], done["backup_release_number"]) == (True, False, 2)
    assert "plan_id" not in done
    [row] = rollbacks_of(engine, billing)
    assert (row.rolled_back_by, row.reason) == ("oncall", "bad prompt")


def test_a_plan_writes_nothing(engine: Engine, billing: Toolset) -> None:
    edit_everything(billing)
    before = all_but_requests(engine)
    plan(engine, billing)
    assert all_but_requests(engine) == before


@pytest.mark.parametrize(
    ("component", "edit"),
    [
        ("tools", lambda billing: billing.move_tool(INVOICE, 99)),
        ("settings", lambda billing: billing.edit(description="otherwise")),
        ("toolset_variations", lambda billing: billing.vary(REFUND, {"later": True})),
        ("system", lambda billing: billing.project.configure("later", 1)),
        ("deployment", lambda billing: active_deployment(billing).edit_tool(REFUND, description="otherwise")),
        ("global_variations", lambda billing: billing.project.organization.vary(REFUND, {"later": True})),
    ],
)
def test_a_plan_is_refused_if_live_state_has_moved_since_and_says_where(
    engine: Engine, billing: Toolset, component: str, edit: Any
) -> None:
    edit_everything(billing)
    planned = plan(engine, billing)
    edit(billing)
    assert component in moved(engine, billing, planned["plan_id"])


def test_a_plan_is_refused_if_another_release_is_current(engine: Engine, billing: Toolset) -> None:
    planned = plan(engine, billing)
    work(engine, billing, "create_release")
    assert moved(engine, billing, planned["plan_id"]) == ["the current release"]


def test_a_plan_is_refused_if_it_would_reach_others_than_it_said(engine: Engine, billing: Toolset) -> None:
    billing.project.configure("later", 1)
    planned = plan(engine, billing)
    assert planned["affected"] == []
    neighbour = billing.project.toolset("neighbour")
    assert moved(engine, billing, planned["plan_id"]) == ["the affected toolsets"]
    again = plan(engine, billing)
    assert again["affected"] == [{"id": str(neighbour.id), "path": neighbour.path, "components": ["system"]}]
    applied(engine, billing, again["plan_id"])


def test_a_plan_is_applied_once(engine: Engine, billing: Toolset) -> None:
    edit_everything(billing)
    planned = plan(engine, billing)
    applied(engine, billing, planned["plan_id"])
    assert "tools" in moved(engine, billing, planned["plan_id"])


def test_a_plan_shows_its_diff_together_with_the_refusal_and_is_refused_when_applied(
    engine: Engine, billing: Toolset
) -> None:
    billing.project.toolset("neighbour")
    billing.project.configure("later", 1)
    planned = plan(engine, billing, allow_shared_impact=False)
    assert planned["refused"]["type"] == "SharedStateImpact"
    assert planned["changes"]["system"]["removed"] == ["config/later"]
    assert [one["path"] for one in planned["affected"]] == ["acme/payments/neighbour"]
    with pytest.raises(SharedStateImpact):
        applied(engine, billing, planned["plan_id"])


def test_a_plan_keeps_the_options_it_was_made_with(engine: Engine, billing: Toolset) -> None:
    edit_everything(billing)
    edited = live_state(engine, billing)
    planned = plan(engine, billing, components=["settings"])
    assert planned["components"] == ["settings"]
    applied(engine, billing, planned["plan_id"])
    live = live_state(engine, billing)
    assert live["settings"] != edited["settings"]
    assert live["tools"] == edited["tools"]


def test_only_a_plan_of_the_same_toolset_can_be_applied(engine: Engine, billing: Toolset) -> None:
    other = billing.project.toolset("other")
    planned = plan(engine, billing)
    released = work(engine, billing, "create_release")
    for toolset, plan_id, error in (
        (other, planned["plan_id"], RequestNotFound),
        (billing, "nothing", RequestNotFound),
        (billing, released.id, InvalidRequest),
    ):
        with pytest.raises(error):
            applied(engine, toolset, plan_id)


def test_a_plan_that_somebody_else_wrote_is_refused_as_such(engine: Engine, billing: Toolset) -> None:
    planned = plan(engine, billing)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE release_requests SET result = '{\"noop\": 1}' WHERE id = :id"), {"id": planned["plan_id"]}
        )
    with pytest.raises(InvalidRequest, match="no answer of a plan"):
        applied(engine, billing, planned["plan_id"])


def test_a_plan_that_failed_cannot_be_applied(engine: Engine, billing: Toolset) -> None:
    failed = work(engine, billing, "rollback", release_number=9, dry_run=True)
    assert failed.status == "failed"
    with pytest.raises(InvalidRequest):
        applied(engine, billing, failed.id)


def test_the_release_that_a_waiting_plan_goes_to_is_not_pruned(engine: Engine, billing: Toolset) -> None:
    for number in range(3):
        billing.edit(settings={"number": number})
        work(engine, billing, "create_release")
    planned = plan(engine, billing, release_number=2)
    pruned = ask(engine, billing, "prune", keep=1)
    done = ask(engine, billing, "apply_plan", plan_id=planned["plan_id"])
    worker = mailbox(engine)
    assert worker.work_until_done(pruned).result == {"toolset_id": str(billing.id), "pruned": [1, 3], "kept": 2}
    assert worker.work_until_done(done).status == "succeeded"
    assert current_number(engine, billing) == 2


def test_a_rollback_to_a_bad_release_is_refused_unless_it_is_allowed(engine: Engine, billing: Toolset) -> None:
    billing.edit(settings={"later": True})
    work(engine, billing, "create_release")
    work(engine, billing, "mark", release_number=1, mark="bad", reason="refunds twice", actor="alice")
    refused = work(engine, billing, "rollback", release_number=1)
    with pytest.raises(ReleaseMarkedBad) as bad:
        refused.answer()
    assert bad.value.details == {
        "toolset": billing.path,
        "release_number": 1,
        "marked_by": "alice",
        "reason": "refunds twice",
    }
    assert plan(engine, billing)["refused"] == bad.value.as_record()
    assert work(engine, billing, "rollback", release_number=1, allow_bad=True).status == "succeeded"
    work(engine, billing, "mark", release_number=2, mark="bad")
    work(engine, billing, "mark", release_number=2, mark="good")
    assert work(engine, billing, "rollback", release_number=2).status == "succeeded"


def error_of(done: RequestRecord) -> ReleaseWorkerError:
    assert done.status == "failed"
    return done.stored_error()


def test_previous_is_the_release_that_was_current_before_whatever_its_number(engine: Engine, billing: Toolset) -> None:
    assert "no release before" in str(error_of(work(engine, billing, "rollback", to="previous")))
    for number in (2, 3):
        billing.edit(settings={"number": number})
        work(engine, billing, "create_release")
    work(engine, billing, "rollback", release_number=1)
    billing.edit(settings={"number": 4})
    work(engine, billing, "create_release")
    done = work(engine, billing, "rollback", to="previous")
    assert done.result is not None
    assert (done.result["from_release_number"], done.result["to_release_number"]) == (4, 1)


def test_undo_brings_back_what_was_live_before_the_last_rollback(engine: Engine, billing: Toolset) -> None:
    assert "no rollback" in str(error_of(work(engine, billing, "rollback", to="undo")))
    edit_everything(billing)
    edited = live_state(engine, billing)
    work(engine, billing, "rollback", release_number=1, allow_shared_impact=True)
    released = live_state(engine, billing)
    for expected in (edited, released, edited):
        done = work(engine, billing, "rollback", to="undo", allow_shared_impact=True)
        assert done.status == "succeeded", done.error
        assert live_state(engine, billing) == expected


def test_undo_says_which_releases_it_takes_back_too(engine: Engine, billing: Toolset) -> None:
    billing.edit(settings={"number": 2})
    work(engine, billing, "rollback", release_number=1)
    for number in (3, 4):
        billing.edit(settings={"number": number})
        work(engine, billing, "create_release")
    warning = "it also takes back what was released after that rollback: 3, 4"
    planned = work(engine, billing, "rollback", to="undo", dry_run=True)
    done = work(engine, billing, "rollback", to="undo")
    for answer in (planned, done):
        assert answer.result is not None
        assert answer.result["to_release_number"] == 2
        assert warning in answer.result["warnings"]


def test_undo_passes_by_rollbacks_that_changed_nothing_live(engine: Engine, billing: Toolset) -> None:
    billing.edit(settings={"number": 2})
    work(engine, billing, "create_release")
    second = live_state(engine, billing)
    work(engine, billing, "rollback", release_number=1)
    billing.remove_tool(REFUND)
    edited = live_state(engine, billing)
    for fields in ({"release_number": 1, "components": ["settings"]}, {"to": "current", "components": ["settings"]}):
        done = work(engine, billing, "rollback", **fields)
        assert done.result is not None
        assert done.result["changes"] == {}
    assert live_state(engine, billing) == edited
    work(engine, billing, "rollback", to="undo")
    assert live_state(engine, billing) == second


def test_last_good_passes_bad_releases_by(engine: Engine, billing: Toolset) -> None:
    for number in (2, 3, 4):
        billing.edit(settings={"number": number})
        work(engine, billing, "create_release")
    for number in (3, 2):
        work(engine, billing, "mark", release_number=number, mark="bad")
    done = work(engine, billing, "rollback", to="last_good")
    assert done.result is not None
    assert done.result["to_release_number"] == 1
    assert "not marked bad" in str(error_of(work(engine, billing, "rollback", to="last_good")))


def test_what_a_waiting_rollback_without_a_number_may_go_to_is_not_pruned(engine: Engine, billing: Toolset) -> None:
    for number in (2, 3, 4, 5):
        billing.edit(settings={"number": number})
        work(engine, billing, "create_release")
    work(engine, billing, "mark", release_number=4, mark="bad")
    worker = mailbox(engine)
    pruned = ask(engine, billing, "prune", keep=1)
    waiting = [ask(engine, billing, "rollback", to=to) for to in ("last_good", "previous")]
    assert worker.work_until_done(pruned).result == {"toolset_id": str(billing.id), "pruned": [1, 2], "kept": 3}
    assert [worker.work_until_done(one).status for one in waiting] == ["succeeded", "failed"]


def test_repair_puts_live_state_back_to_the_current_release_which_keeps_its_number(
    engine: Engine, billing: Toolset
) -> None:
    released = live_state(engine, billing)
    work(engine, billing, "mark", release_number=1, mark="bad")  # that is no reason to leave it torn
    edit_everything(billing)
    edited = live_state(engine, billing)
    refused = error_of(work(engine, a_neighbour(billing), "repair"))
    assert "no current release" in str(refused)

    done = work(engine, billing, "repair", reason="somebody edited", allow_shared_impact=True)

    assert done.result is not None, done.error
    assert live_state(engine, billing) == released
    assert current_number(engine, billing) == 1
    assert done.result["backup_release_number"] == 2
    assert [row.kind for row in releases_of(engine, billing)] == ["release", "backup"]
    again = work(engine, billing, "repair", allow_shared_impact=True)
    assert again.result is not None
    assert again.result["noop"]
    work(engine, billing, "rollback", to="undo", allow_shared_impact=True)
    assert live_state(engine, billing) == edited


def a_neighbour(billing: Toolset) -> Toolset:
    return billing.project.toolset("neighbour")


def test_a_rollback_goes_to_a_number_or_to_what_a_word_means_and_not_to_both(engine: Engine, billing: Toolset) -> None:
    for fields in ({}, {"release_number": 1, "to": "previous"}, {"to": "yesterday"}):
        with pytest.raises(InvalidRequest):
            ask(engine, billing, "rollback", **fields)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM release_requests WHERE kind = 'rollback'")).scalar() == 0
