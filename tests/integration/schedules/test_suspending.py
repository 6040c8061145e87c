"""A schedule that cannot fire is suspended with a reason, and the others go on."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from release_worker.errors import OperationTimeout
from release_worker.operations.schedules.tick import TickPolicy, tick
from release_worker.store.engine import ledger_transaction
from release_worker.store.schedules import list_schedules
from tests.support.events import events
from tests.support.operations import release
from tests.support.plug_ins import interrupted_by, raising
from tests.support.records import insert_mark, tampering
from tests.support.schedules import NOON, add, change, due_at, insert, keys, row, ticked, unheard
from tests.support.world import Toolset, World

NOBODY = UUID(int=7)
CRON = {"cron": "* * * * *", "next_fire_at": NOON}

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "a cron expression that is none": ({"cron": "often"}, "often"),
    "a cron expression of too few fields": ({"cron": "* *"}, "no cron expression"),
    "a date that never comes": ({"cron": "0 0 30 2 *"}, "no cron expression"),
    "a zone that is none": ({"timezone": "Europe/Atlantis"}, "Europe/Atlantis"),
    "a zone that is a path": ({"timezone": "../../etc/passwd"}, "no IANA time zone"),
    "the zone of whatever machine": ({"timezone": "localtime"}, "no IANA time zone"),
    "a kind that is none": ({"kind": "dance"}, "a schedule can ask for"),
    "a kind that is a person's step": ({"kind": "mark"}, "a schedule can ask for"),
    "an argument that is none": ({"arguments": '{"volume": 11}'}, "volume"),
    "an argument of another type": ({"arguments": '{"notes": 7}'}, "notes"),
    "a toolset in the arguments": ({"arguments": '{"toolset": "a/b/c"}'}, "toolset"),
    "a key in the arguments": ({"arguments": '{"idempotency_key": "k"}'}, "idempotency_key"),
    "a number of very many digits": ({"arguments": f'{{"expected_current_release": {"9" * 5000}}}'}, "cannot be read"),
    "labels that are too long": ({"arguments": f'{{"labels": {{"a": "{"x" * 20_000}"}}}}'}, "labels"),
    "a rollback of no release": ({"kind": "rollback", "arguments": "{}"}, "release_number"),
    "a toolset that never was": ({"toolset_id": NOBODY}, "there is no toolset"),
    "a project that never was": ({"toolset_id": None, "project_id": NOBODY}, "there is no project"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_row_is_suspended_and_the_others_fire(engine: Engine, billing: Toolset, what: str) -> None:
    columns, reason = BROKEN[what]
    before = add(engine, billing, "a-before", overlap="queue")
    broken = insert(engine, billing, **{**CRON, **columns})
    after = add(engine, billing, "z-after", overlap="queue")
    due_at(engine, before, NOON - timedelta(seconds=1))
    due_at(engine, after, NOON)
    done = ticked(engine)
    assert sorted(fired.name for fired in done.fired) == ["a-before", "z-after"]
    assert [one.schedule_id for one in done.suspended] == [broken]
    found = row(engine, broken)
    assert reason in found.suspended_reason
    assert found.enabled, "that is what people said; the reason is what the worker says"
    assert len(keys(engine)) == 2
    (told,) = events(engine)
    assert told.type == "schedule.suspended"
    assert told.data["schedule_id"] == str(broken)
    assert ticked(engine, NOON + timedelta(seconds=30)).suspended == []


@pytest.mark.parametrize(
    "columns",
    [
        {"next_fire_at": "infinity"},
        {"next_fire_at": "-infinity"},
        {"next_fire_at": "9999-12-31 23:59:59+00"},
        {"created_at": "infinity"},
        {"cron": None},
        {"fire_at": NOON},
        {"misfire": "perhaps"},
        {"overlap": "perhaps"},
        {"arguments": "[]"},
        {"arguments": "[" * 300 + "]" * 300},
        {"catch_up_seconds": -1},
        {"name": ""},
        {"name": "two words"},
        {"project_id": NOBODY},
    ],
    ids=str,
)
def test_a_row_that_nobody_could_read_is_refused_by_the_database(
    engine: Engine, billing: Toolset, columns: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError):
        insert(engine, billing, **{**CRON, **columns})


def test_even_a_row_that_the_database_should_have_refused_stops_nobody(engine: Engine, billing: Toolset) -> None:
    nightly = add(engine, billing, "nightly")
    due_at(engine, nightly, NOON)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE release_schedules DROP CONSTRAINT release_schedules_times_check"))
        connection.execute(text("ALTER TABLE release_schedules DROP CONSTRAINT release_schedules_arguments_check"))
    unreadable = insert(engine, billing, **CRON, name="unreadable", last_fire_at="infinity")
    nested = insert(engine, billing, **CRON, name="nested", arguments='{"labels": ' + "[" * 3000 + "]" * 3000 + "}")
    done = ticked(engine)
    assert [fired.name for fired in done.fired] == ["nightly"]
    assert {one.schedule_id for one in done.suspended} == {unreadable, nested}


def test_a_row_of_plain_sql_gets_its_first_instant_from_the_worker(engine: Engine, billing: Toolset) -> None:
    by_hand = insert(engine, billing, cron="0 3 * * *", timezone="Europe/Berlin")
    once = insert(engine, billing, name="once", fire_at=NOON + timedelta(hours=2))
    ticked(engine)
    assert keys(engine) == []
    assert row(engine, by_hand).next_fire_at == datetime(2100, 6, 2, 1, tzinfo=UTC)
    assert row(engine, once).next_fire_at == NOON + timedelta(hours=2)
    ticked(engine, datetime(2100, 6, 2, 1, tzinfo=UTC))
    assert keys(engine) == [f"schedule:{by_hand}:2100-06-02T01:00:00Z"]


def test_a_schedule_whose_toolset_is_deleted_is_suspended(engine: Engine, billing: Toolset) -> None:
    nightly = add(engine, billing)
    due_at(engine, nightly, NOON)
    billing.delete()
    ticked(engine)
    assert row(engine, nightly).suspended_reason == f"ToolsetNotFound: there is no toolset {billing.path}"
    assert keys(engine) == []


def test_a_toolset_that_went_to_another_organization_does_not_take_its_schedule_along(
    engine: Engine, billing: Toolset
) -> None:
    nightly = add(engine, billing)
    due_at(engine, nightly, NOON)
    theirs = World(engine).organization("globex").project("shop")
    billing.edit(project_id=theirs.id, organization_id=theirs.organization.id)
    ticked(engine)
    assert row(engine, nightly).suspended_reason == f"ToolsetNotFound: there is no toolset {billing.id}"


def test_a_schedule_with_another_organizations_toolset_or_project_tells_neither_of_the_other(
    engine: Engine, billing: Toolset
) -> None:
    ours = billing.project.organization
    theirs = World(engine).organization("globex").project("shop")
    toolset = theirs.toolset("unannounced")
    of_toolset = insert(engine, billing, **CRON, name="toolset", toolset_id=toolset.id)
    of_project = insert(engine, billing, **CRON, name="project", toolset_id=None, project_id=theirs.id)
    with ledger_transaction(engine) as connection:
        targets = {one.target for one in list_schedules(connection, organization=ours.slug)}
    assert targets == {str(toolset.id), str(theirs.id)}
    ticked(engine)
    told = events(engine)
    assert {UUID(one.data["schedule_id"]) for one in told} == {of_toolset, of_project}
    assert {one.organization_id for one in told} == {ours.id}
    assert "globex" not in str([one.data for one in told])


def marked_bad(engine: Engine, billing: Toolset) -> None:
    insert_mark(engine, billing, 1, "bad")


def deleted(engine: Engine, billing: Toolset) -> None:
    with tampering(engine) as connection:
        connection.execute(
            text("DELETE FROM toolset_releases WHERE toolset_id = :id AND release_number = 1"), {"id": billing.id}
        )


def moved_on(engine: Engine, billing: Toolset) -> None:
    billing.edit(description="later")
    release(engine, billing)


def without_its_tools(engine: Engine, billing: Toolset) -> None:
    """Another toolset of the project would serve something else after a whole rollback."""
    billing.project.configure("limits", {"new": True})
    release(engine, billing)
    billing.project.toolset("neighbour", tools=["tools:function:billing:refund"])


Change = Callable[[Engine, Toolset], None]


@pytest.mark.parametrize(
    ("happens", "fields", "reason"),
    [
        (marked_bad, {}, "ReleaseMarkedBad"),
        (deleted, {}, "ReleaseNotFound"),
        (moved_on, {"expected_current_release": 2}, "StaleState"),
        (without_its_tools, {}, "SharedStateImpact"),
    ],
)
def test_a_planned_rollback_that_is_impossible_when_it_is_due_is_suspended(
    engine: Engine, billing: Toolset, happens: Change, fields: dict[str, Any], reason: str
) -> None:
    release(engine, billing)
    billing.edit(description="new")
    release(engine, billing)
    planned = add(
        engine, billing, "back", at="2100-06-01T12:00Z", kind="rollback", arguments={"release_number": 1, **fields}
    )
    happens(engine, billing)
    ticked(engine)
    found = row(engine, planned)
    assert found.suspended_reason.startswith(f"{reason}: ")
    assert keys(engine) == []
    assert [one.type for one in events(engine)][-1] == "schedule.suspended"


@pytest.mark.parametrize(
    "error", [RuntimeError("a defect"), OperationTimeout()], ids=lambda error: type(error).__name__
)
def test_a_rollback_that_cannot_be_planned_is_fired_all_the_same_and_holds_up_nobody(
    engine: Engine, billing: Toolset, error: Exception
) -> None:
    release(engine, billing)
    back = add(engine, billing, "back", kind="rollback", arguments={"release_number": 1})
    nightly = add(engine, billing, "nightly")
    due_at(engine, back, NOON - timedelta(seconds=1))
    due_at(engine, nightly, NOON)
    done = tick(engine, interrupted_by(raising(error)), unheard, TickPolicy(at=NOON))
    assert [one.name for one in done.fired] == ["nightly", "back"], "what needs no plan comes first"
    assert list(done.unplanned) == [back.id]
    assert type(error).__name__ in done.unplanned[back.id]


def test_what_an_own_trigger_refuses_holds_up_nobody(engine: Engine, billing: Toolset) -> None:
    refuse = """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'no releases on a Friday' USING ERRCODE = 'P0001'; END $$;
        CREATE TRIGGER refuse BEFORE INSERT ON release_requests
        FOR EACH ROW WHEN (NEW.kind = 'create_release') EXECUTE FUNCTION refuse()
    """
    with engine.begin() as connection:
        connection.execute(text(refuse))
    refused = add(engine, billing, "refused")
    watch = add(engine, billing, "watch", kind="check_drift")
    due_at(engine, refused, NOON - timedelta(seconds=1))
    due_at(engine, watch, NOON)
    done = ticked(engine)
    assert [one.schedule_id for one in done.suspended] == [refused.id]
    assert keys(engine) == [watch.key(NOON)]


def test_a_planned_rollback_to_a_bad_release_is_done_if_that_is_allowed(engine: Engine, billing: Toolset) -> None:
    release(engine, billing)
    billing.edit(description="new")
    release(engine, billing)
    arguments = {"release_number": 1, "allow_bad": True}
    planned = add(engine, billing, "back", at="2100-06-01T12:00Z", kind="rollback", arguments=arguments)
    marked_bad(engine, billing)
    ticked(engine)
    assert keys(engine) == [planned.key(NOON)]


def test_a_rollback_to_the_release_before_needs_one_when_it_is_due(engine: Engine, billing: Toolset) -> None:
    release(engine, billing)
    planned = add(engine, billing, "back", kind="rollback", arguments={"to": "previous"})
    due_at(engine, planned, NOON)
    ticked(engine)
    assert "no release before its current one" in row(engine, planned).suspended_reason
    change(engine, planned.id, suspended_reason=None)
    billing.edit(description="new")
    release(engine, billing)
    ticked(engine)
    assert keys(engine) == [planned.key(NOON)]


def test_a_missed_single_instant_suspends_its_schedule(engine: Engine, billing: Toolset) -> None:
    once = add(engine, billing, "once", at="2100-06-01T12:00Z", catch_up_seconds=600)
    ticked(engine, NOON + timedelta(seconds=601))
    found = row(engine, once)
    assert found.suspended_reason.startswith("ScheduleMissed: its instant 2100-06-01T12:00:00+00:00 was missed")
    assert keys(engine) == []


def test_whoever_suspends_a_schedule_that_was_changed_meanwhile_does_nothing(engine: Engine, billing: Toolset) -> None:
    made: UUID = insert(engine, billing, **{**CRON, "timezone": "Nowhere/Land"})
    change(engine, made, enabled=False)
    assert ticked(engine).suspended == []
    assert row(engine, made).suspended_reason is None
