"""Each end of a request that matters leaves one event, in the transaction of that end; nothing else does."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.cancellation import Cancellation
from release_worker.domain.events import Event
from release_worker.errors import InvalidRequest, LockUnavailable
from release_worker.operations.cancel_request import cancel_request
from release_worker.operations.execute import execute
from release_worker.operations.sweep import sweep
from release_worker.state.registry import built_in_components
from release_worker.store.engine import ledger_transaction
from release_worker.store.events import add_event
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.bundles import exported, keep
from tests.support.event_page import fields_of_types
from tests.support.events import events, events_of_request
from tests.support.ledger import ask, claim, end_leases, mailbox, record
from tests.support.operations import ACTOR
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def done(engine: Engine, toolset: Toolset, kind: str = "create_release", **fields: Any) -> str:
    """Ask and work it; returns the request's id."""
    asked = ask(engine, toolset, kind, **fields)
    mailbox(engine).work_until_done(asked)
    return asked


def test_a_release_is_told_once_with_its_numbers_and_who_asked(engine: Engine, billing: Toolset) -> None:
    asked = done(engine, billing, notes="secret notes", labels={"secret": "label"})
    [event] = events(engine)
    result = record(engine, asked).result
    assert result is not None
    assert event.type == "release.created"
    assert event.data == {
        "request_id": asked,
        "operation": "create_release",
        "actor": ACTOR,
        "path": "acme/payments/billing",
        **{name: result[name] for name in ("release_id", "release_number", "toolset_version", "digest")},
    }
    owners = (billing.id, billing.project.id, billing.project.organization.id)
    assert (event.toolset_id, event.project_id, event.organization_id) == owners


def test_a_release_that_was_not_needed_is_not_told(engine: Engine, billing: Toolset) -> None:
    done(engine, billing)
    again = done(engine, billing, only_if_changed=True)
    assert events_of_request(engine, again) == []


def test_rollbacks_repairs_and_plans_that_are_applied_are_told_and_plans_and_checks_are_not(
    engine: Engine, billing: Toolset
) -> None:
    done(engine, billing)
    edit_everything(billing)
    plan = done(engine, billing, "rollback", release_number=1, dry_run=True)
    assert events_of_request(engine, plan) == []
    for kind in ("check_drift", "verify", "status"):
        assert events_of_request(engine, done(engine, billing, kind)) == []
    applied = done(engine, billing, "apply_plan", plan_id=plan)
    assert events_of_request(engine, applied) == ["rollback.succeeded"]
    told = events(engine)[-1].data
    numbers = ("from_release_number", "to_release_number", "current_release_number", "backup_release_number")
    assert [told[name] for name in numbers] == [1, 1, 1, 2]
    assert told["components"] == list((record(engine, applied).result or {})["components"])
    assert "changes" not in told
    assert events_of_request(engine, done(engine, billing, "repair")) == []  # it changed nothing
    edit_everything(billing)
    assert events_of_request(engine, done(engine, billing, "repair")) == ["rollback.succeeded"]
    assert events_of_request(engine, done(engine, billing, "rollback", release_number=1)) == []


def test_publications_and_imports_are_told_as_releases(engine: Engine, billing: Toolset) -> None:
    done(engine, billing)
    bundle = keep(engine, exported(engine, billing, 1))
    assert events_of_request(engine, done(engine, billing, "stage")) == []
    edit_everything(billing)
    for kind, fields in (("publish", {}), ("import_bundle", {"bundle": bundle})):
        asked = done(engine, billing, kind, **fields)
        assert events_of_request(engine, asked) == ["release.created"]
        assert events(engine)[-1].data["operation"] == kind


def test_a_mark_is_told_without_its_reason(engine: Engine, billing: Toolset) -> None:
    done(engine, billing)
    asked = done(engine, billing, "mark", release_number=1, mark="bad", reason="a customer's name")
    assert events_of_request(engine, asked) == ["release.marked"]
    assert events(engine)[-1].data.items() >= {"release_number": 1, "mark": "bad"}.items()
    assert "customer" not in str(events(engine)[-1].data)


def test_every_event_has_the_fields_that_the_page_lists(engine: Engine, billing: Toolset) -> None:
    done(engine, billing)
    done(engine, billing, "mark", release_number=1, mark="good")
    edit_everything(billing)
    done(engine, billing, "rollback", release_number=1)
    done(engine, billing, "rollback", release_number=9)
    told = {event.type: set(event.data) for event in events(engine)}
    listed = fields_of_types()
    assert len(told) == 4
    assert told == {kind: listed[kind] for kind in told}


def failed_in_its_attempt(engine: Engine, billing: Toolset) -> str:
    return done(engine, billing, "rollback", release_number=7)


def cancelled(engine: Engine, billing: Toolset) -> str:
    asked = ask(engine, billing)
    with ledger_transaction(engine) as connection:
        cancel_request(connection, asked, Cancellation(actor=ACTOR))
    return asked


def exhausted(engine: Engine, billing: Toolset) -> str:
    asked = ask(engine, billing)
    claim(engine, asked)
    end_leases(engine)
    sweep(engine, lambda _: None, attempts=1)
    return asked


def abandoned(engine: Engine, billing: Toolset) -> str:
    asked = ask(engine, billing)
    mailbox(engine).abandon(asked, LockUnavailable(toolset_id=str(billing.id)))
    return asked


def refused_when_it_arrived(engine: Engine, billing: Toolset) -> str:
    fields = {"toolset": billing.path, "actor": ACTOR, "colour": "red"}
    with pytest.raises(InvalidRequest):
        Inbox(engine).accept("create_release", Message("refused", [], fields, in_ledger=False))
    return "refused"


def refused_by_the_sweeper(engine: Engine, billing: Toolset) -> str:
    row = """
        INSERT INTO release_requests (id, kind, toolset_id, payload, requested_by, created_at)
        VALUES ('no request', 'create_release', :toolset_id, '{}', 'x', now() - interval '1 hour')
    """
    with engine.begin() as connection:
        connection.execute(text(row), {"toolset_id": billing.id})
    assert sweep(engine, lambda _: None, attempts=1).refused == ("no request",)
    return "no request"


def of_no_toolset(engine: Engine, _billing: Toolset) -> str:
    return ask(engine, "acme/payments/nothing")


PATHS = {
    failed_in_its_attempt: ("ReleaseNotFound", True),
    cancelled: ("RequestCancelled", True),
    exhausted: ("WorkerLost", True),
    abandoned: ("LockUnavailable", True),
    refused_when_it_arrived: ("InvalidRequest", False),
    refused_by_the_sweeper: ("InvalidRequest", True),
    of_no_toolset: ("ToolsetNotFound", False),
}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
def test_a_failure_is_told_on_every_path_with_its_type_and_sentence(
    engine: Engine, billing: Toolset, path: Any
) -> None:
    asked = path(engine, billing)
    [event] = [event for event in events(engine) if event.data["request_id"] == asked]
    error = record(engine, asked).error
    assert error is not None
    type_, has_toolset = PATHS[path]
    assert event.type == "request.failed"
    assert event.data["error"] == {"type": type_, "message": error["message"]}
    assert event.toolset_id == (billing.id if has_toolset else None)
    assert event.data.get("path") == ("acme/payments/billing" if has_toolset else None)


def test_what_is_postponed_is_not_told_before_it_ends(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing)
    claim(engine, asked)
    assert events(engine) == []


def test_an_operation_that_is_rolled_back_leaves_no_event(engine: Engine, billing: Toolset) -> None:
    """Its claim is lost to another worker at the last statement: all of its transaction goes, the event too."""
    first = claim(engine, ask(engine, billing), lease=-1.0)
    with engine.begin() as connection:
        trigger = """
            CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
            BEGIN
                IF NOT EXISTS (SELECT FROM release_events) THEN RAISE 'the event comes first'; END IF;
                RAISE EXCEPTION 'after the event' USING ERRCODE = '40001';
            END $$;
            CREATE TRIGGER zz_fails AFTER UPDATE OF status ON release_requests
                FOR EACH ROW WHEN (NEW.status = 'succeeded') EXECUTE FUNCTION fails();
        """
        connection.exec_driver_sql(trigger)
    with pytest.raises(Exception, match="serialization failure"):
        execute(engine, first, built_in_components())
    assert events(engine) == []
    assert record(engine, first.id).status == "running"


def test_a_request_that_is_brought_back_and_fails_again_is_told_again(engine: Engine, billing: Toolset) -> None:
    asked = failed_in_its_attempt(engine, billing)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET status = 'queued', error = NULL"))
    mailbox(engine).work_until_done(asked)
    assert events_of_request(engine, asked) == ["request.failed", "request.failed"]


def test_what_else_happens_is_added_with_its_owners_and_path(engine: Engine, billing: Toolset) -> None:
    organization_id = billing.project.organization.id
    with ledger_transaction(engine) as connection:
        add_event(connection, Event("drift.detected", {"release_number": 3}, toolset_id=billing.id))
        add_event(connection, Event("schedule.suspended", {"schedule": "nightly"}, organization_id=organization_id))
    drifted, suspended = events(engine)
    assert drifted.data == {"path": "acme/payments/billing", "release_number": 3}
    assert (drifted.project_id, drifted.organization_id) == (billing.project.id, organization_id)
    assert suspended.data == {"schedule": "nightly"}
    assert (suspended.toolset_id, suspended.organization_id) == (None, organization_id)


def test_an_event_stays_when_its_toolset_is_gone(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM toolsets WHERE id = :id"), {"id": billing.id})
    mailbox(engine).work_until_done(asked)
    assert events_of_request(engine, asked) == ["request.failed"]
    assert "path" not in events(engine)[0].data
