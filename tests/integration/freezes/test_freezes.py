"""During a freeze nothing that is served changes, nor what is current, unless a reason is given."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.freeze import Freeze
from release_worker.domain.request_record import RequestRecord
from release_worker.domain.requests.kinds import KINDS
from release_worker.embedded.process import eventually
from release_worker.state.registry import built_in_components
from release_worker.store.engine import single_statement
from release_worker.store.freezes import freeze_at
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.freezes import freeze, from_now, unfreeze
from tests.support.kinds import CARRIED_OUT
from tests.support.ledger import ask, mailbox
from tests.support.live_state import live_state
from tests.support.operations import release
from tests.support.readiness import ready_for
from tests.support.records import current_number, releases_of, rollbacks_of
from tests.support.world import Organization, Project, Toolset

HELD_OFF = ("create_release", "rollback", "apply_plan", "repair", "publish", "import_bundle")
REASON = "the payment provider is down"
Owner = Callable[[Toolset], Project | Organization]
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def its_project(toolset: Toolset) -> Project | Organization:
    return toolset.project


def its_organization(toolset: Toolset) -> Project | Organization:
    return toolset.project.organization


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Released once, and edited since."""
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    return billing


def fields_of(engine: Engine, kind: str, toolset: Toolset) -> dict[str, Any]:
    """Those of a request that succeeds if nothing holds it off."""
    if kind == "apply_plan":
        planned = {"release_number": 1, "allow_shared_impact": True, "dry_run": True}
        return {"plan_id": worked(engine, toolset, "rollback", **planned).id}
    return {**CARRIED_OUT[kind], **ready_for(engine, kind, toolset)}


def worked(engine: Engine, toolset: Toolset, kind: str, **fields: Any) -> RequestRecord:
    return mailbox(engine).work_until_done(ask(engine, toolset, kind, **fields))


def error_type(done: RequestRecord) -> str | None:
    return None if done.error is None else str(done.error["type"])


def everything(engine: Engine, toolset: Toolset) -> tuple[Any, ...]:
    records = releases_of(engine, toolset), rollbacks_of(engine, toolset)
    return live_state(engine, toolset), current_number(engine, toolset), *records


@pytest.mark.parametrize("whose", [its_project, its_organization])
@pytest.mark.parametrize("kind", HELD_OFF)
def test_what_changes_live_state_or_what_is_current_is_refused_with_the_window_and_does_nothing(
    engine: Engine, billing: Toolset, kind: str, whose: Owner
) -> None:
    fields = fields_of(engine, kind, billing)
    before = everything(engine, billing)
    freeze_id = freeze(whose(billing))

    done = worked(engine, billing, kind, **fields)

    assert done.error is not None
    told = done.error["details"]
    path = "acme/payments" if whose is its_project else "acme"
    assert (done.error["type"], told["id"], told["scope"]) == ("Frozen", str(freeze_id), path)
    assert (told["reason"], told["starts_at"] < told["ends_at"]) == ("year end", True)
    assert "--override-freeze" in done.error["message"]
    assert done.attempts == 1
    assert everything(engine, billing) == before


@pytest.mark.parametrize("kind", HELD_OFF)
def test_with_a_reason_it_is_done_and_the_reason_is_kept_in_what_was_asked(
    engine: Engine, billing: Toolset, kind: str
) -> None:
    fields = fields_of(engine, kind, billing)
    freeze(billing.project)
    done = worked(engine, billing, kind, **fields, override_freeze=REASON)
    assert (done.status, done.payload["override_freeze"]) == ("succeeded", REASON)


@pytest.mark.parametrize("kind", sorted(CARRIED_OUT.keys() - {*HELD_OFF}))
def test_whatever_else_is_asked_goes_on(engine: Engine, billing: Toolset, kind: str) -> None:
    fields = fields_of(engine, kind, billing)
    freeze(billing.project)
    done = worked(engine, billing, kind, **fields)
    assert done.status == "succeeded", done.error


def test_exactly_the_kinds_that_a_freeze_holds_off_can_override_it() -> None:
    assert {name for name, kind in KINDS.items() if "override_freeze" in kind.model_fields} == set(HELD_OFF)


def test_a_freeze_holds_in_its_window_and_scope_only(engine: Engine, billing: Toolset) -> None:
    elsewhere = billing.project.organization.project("elsewhere")
    for of in (billing.project, billing.project.organization):
        freeze(of, starts=-2, ends=-1)
        freeze(of, starts=1, ends=2)
    freeze(elsewhere)
    assert worked(engine, billing, "create_release").status == "succeeded"
    assert error_type(worked(engine, elsewhere.toolset("other"), "create_release")) == "Frozen"


@pytest.mark.parametrize("kind", ["rollback", "repair", "import_bundle"])
def test_a_freeze_of_another_project_holds_off_what_would_restore_the_organizations_state(
    engine: Engine, billing: Toolset, kind: str
) -> None:
    elsewhere = billing.project.organization.project("shop")
    freeze(elsewhere)
    before = everything(engine, billing)
    fields = fields_of(engine, kind, billing)
    done = worked(engine, billing, kind, **fields)
    assert error_type(done) == "Frozen"
    assert done.error is not None
    assert done.error["details"]["scope"] == "acme/shop"
    assert everything(engine, billing) == before
    others = [name for name in built_in_components().names if name != "global_variations"]
    if kind == "rollback":
        assert worked(engine, billing, kind, **fields, components=others).status == "succeeded"
    else:
        assert worked(engine, billing, kind, **fields, override_freeze=REASON).status == "succeeded"


def test_a_release_that_is_not_needed_is_refused_as_well(engine: Engine, billing: Toolset) -> None:
    """The answer depends on the time alone, and not on what somebody has edited meanwhile."""
    worked(engine, billing, "create_release")
    freeze(billing.project)
    assert error_type(worked(engine, billing, "create_release", only_if_changed=True)) == "Frozen"
    assert error_type(worked(engine, billing, "rollback", release_number=2)) == "Frozen"


def test_a_request_that_was_refused_is_done_when_it_is_retried_after_the_freeze(
    engine: Engine, billing: Toolset
) -> None:
    freeze_id = freeze(billing.project)
    refused = worked(engine, billing, "create_release")
    unfreeze(billing.project, freeze_id)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET status = 'queued', error = NULL, finished_at = NULL"))
    assert mailbox(engine).work_until_done(refused.id).status == "succeeded"


def test_of_several_freezes_the_one_that_ends_last_is_told(engine: Engine, billing: Toolset) -> None:
    organization = billing.project.organization
    freeze(billing.project, ends=1)
    longest = freeze(organization, ends=3, reason="audit")
    freeze(billing.project, ends=2)
    done = worked(engine, billing, "create_release")
    assert done.error is not None
    assert (done.error["details"]["id"], done.error["details"]["reason"]) == (str(longest), "audit")


@pytest.mark.parametrize(("moment", "found"), [(-1.1, False), (-0.9, True), (0.9, True), (1.1, False)])
def test_the_freeze_in_force_at_a_moment_is_told(engine: Engine, billing: Toolset, moment: float, found: bool) -> None:
    freeze(billing.project)
    organization_id, project_id = billing.project.organization.id, billing.project.id
    with single_statement(engine) as connection:
        there = freeze_at(connection, organization_id=organization_id, project_id=project_id, at=from_now(moment))
        of_all = freeze_at(connection, organization_id=organization_id, project_id=None)
    assert (there is not None) is found
    assert of_all is None  # only one project is frozen


def test_a_window_has_its_start_and_not_its_end(engine: Engine, billing: Toolset) -> None:
    freeze(billing.project)
    project = billing.project

    def found(at: datetime | None = None) -> Freeze | None:
        with single_statement(engine) as connection:
            return freeze_at(connection, organization_id=project.organization.id, project_id=project.id, at=at)

    known = found()
    assert known is not None
    assert found(known.starts_at) == known
    assert found(known.ends_at) is None


# Plans.
def planned(engine: Engine, billing: Toolset, **fields: Any) -> RequestRecord:
    options = {"release_number": 1, "allow_shared_impact": True, "dry_run": True}
    return worked(engine, billing, "rollback", **options, **fields)


def test_a_plan_says_that_it_would_be_refused_and_all_the_rest(engine: Engine, billing: Toolset) -> None:
    freeze(billing.project)
    plan = planned(engine, billing)
    assert plan.result is not None
    assert plan.result["refused"]["type"] == "Frozen"
    assert plan.result["changes"]
    overriding = planned(engine, billing, override_freeze=REASON)
    assert overriding.result is not None
    assert overriding.result["refused"] is None


def test_a_plan_from_before_the_freeze_is_not_stale_but_held_off(engine: Engine, billing: Toolset) -> None:
    plan = planned(engine, billing)
    freeze(billing.project)
    assert error_type(worked(engine, billing, "apply_plan", plan_id=plan.id)) == "Frozen"
    assert worked(engine, billing, "apply_plan", plan_id=plan.id, override_freeze=REASON).status == "succeeded"


def test_a_plan_that_overrides_a_freeze_does_not_do_so_when_it_is_applied(engine: Engine, billing: Toolset) -> None:
    freeze(billing.project)
    plan = planned(engine, billing, override_freeze=REASON)
    assert error_type(worked(engine, billing, "apply_plan", plan_id=plan.id)) == "Frozen"


def test_a_plan_from_the_freeze_can_be_applied_when_that_is_over(engine: Engine, billing: Toolset) -> None:
    freeze_id = freeze(billing.project)
    plan = planned(engine, billing)
    unfreeze(billing.project, freeze_id)
    assert worked(engine, billing, "apply_plan", plan_id=plan.id).status == "succeeded"


def test_a_plan_from_the_freeze_is_stale_if_something_else_moved(engine: Engine, billing: Toolset) -> None:
    freeze_id = freeze(billing.project)
    plan = planned(engine, billing)
    unfreeze(billing.project, freeze_id)
    billing.edit(description="edited meanwhile")
    assert error_type(worked(engine, billing, "apply_plan", plan_id=plan.id)) == "StaleState"


# Beside a freeze that is committed at this moment.
@pytest.mark.parametrize("kind", HELD_OFF)
def test_a_freeze_that_commits_while_an_operation_waits_for_its_toolset_is_heeded(
    engine: Engine, billing: Toolset, kind: str
) -> None:
    """The statement that waits has the snapshot of before: what is read for the decision must come after it."""
    asked = ask(engine, billing, kind, **fields_of(engine, kind, billing))
    before = everything(engine, billing)
    with ThreadPoolExecutor() as threads, engine.begin() as app:
        app.execute(text("SELECT FROM toolsets WHERE id = :id FOR UPDATE"), {"id": billing.id})
        working = threads.submit(mailbox(engine).work_until_done, asked)
        assert eventually(lambda: somebody_waits(engine), within=30)
        freeze(billing.project)
        app.rollback()
        done = working.result()
    assert (error_type(done), done.attempts) == ("Frozen", 1)
    assert everything(engine, billing) == before


def somebody_waits(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.execute(text(WAITING)).scalar_one())


def test_a_freeze_goes_with_its_project(engine: Engine, billing: Toolset) -> None:
    empty = billing.project.organization.project("empty")
    freeze_id: UUID = freeze(empty)
    empty.rows.delete("projects", {"id": empty.id})
    with engine.connect() as connection:
        left = connection.execute(text("SELECT count(*) FROM release_freezes WHERE id = :id"), {"id": freeze_id})
        assert left.scalar_one() == 0
