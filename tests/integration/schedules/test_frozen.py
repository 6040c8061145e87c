"""What falls into a freeze waits for its end, or is left out, as the schedule says."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from release_worker.operations.tidy import TidyPolicy, tidy
from tests.support.events import events
from tests.support.ledger import grow_old, ledger, mailbox
from tests.support.operations import release
from tests.support.schedules import NOON, add, change, due_at, keys, row, ticked
from tests.support.world import Organization, Project, Toolset

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
END = NOON + 3 * HOUR


def freeze(engine: Engine, where: Organization | Project, starts: datetime = NOON - HOUR, ends: datetime = END) -> None:
    organization = where if isinstance(where, Organization) else where.organization
    project_id = None if isinstance(where, Organization) else where.id
    insert = """
        INSERT INTO release_freezes (organization_id, project_id, starts_at, ends_at, reason, created_by)
        VALUES (:organization_id, :project_id, :starts, :ends, 'year end', 'ops')
    """
    values = {"organization_id": organization.id, "project_id": project_id, "starts": starts, "ends": ends}
    with engine.begin() as connection:
        connection.execute(text(insert), values)


def thaw(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM release_freezes"))


def each_tick(engine: Engine, start: datetime, until: datetime, step: timedelta = 10 * MINUTE) -> None:
    """Ticks in a row, as many as it takes."""
    while start <= until:
        ticked(engine, start)
        start += step


def hourly(engine: Engine, billing: Toolset, **fields: Any) -> Any:
    schedule = add(engine, billing, cron="0 * * * *", overlap="queue", **fields)
    due_at(engine, schedule, NOON)
    return schedule


@pytest.mark.parametrize("whole", [True, False], ids=["of the organization", "of the project"])
@pytest.mark.parametrize(("misfire", "hours"), [("once", [3]), ("all", [0, 1, 2, 3]), ("skip", [3])])
def test_what_falls_into_a_freeze_waits_for_its_end_or_is_skipped(
    engine: Engine, billing: Toolset, misfire: str, hours: list[int], *, whole: bool
) -> None:
    schedule = hourly(engine, billing, misfire=misfire, catch_up_seconds=60)
    freeze(engine, billing.project.organization if whole else billing.project)
    each_tick(engine, NOON, END - timedelta(seconds=1))
    assert keys(engine) == []
    assert row(engine, schedule).last_fire_at is None
    ticked(engine, END)  # which is an instant itself, no longer in the freeze, and the latest
    assert keys(engine) == [schedule.key(NOON + hour * HOUR) for hour in hours]
    done = row(engine, schedule)
    assert (done.held_fire_at, done.held_until, done.next_fire_at) == (None, None, END + HOUR)


def test_the_latest_of_several_waits_and_is_done_when_the_freeze_ends(engine: Engine, billing: Toolset) -> None:
    schedule = hourly(engine, billing)
    freeze(engine, billing.project, ends=END - 30 * MINUTE)
    each_tick(engine, NOON, END - 31 * MINUTE)
    waiting = row(engine, schedule)
    assert (waiting.held_fire_at, waiting.next_fire_at) == (NOON + 2 * HOUR, END)
    ticked(engine, END - 30 * MINUTE)
    assert keys(engine) == [schedule.key(NOON + 2 * HOUR)]
    assert row(engine, schedule).last_fire_at == NOON + 2 * HOUR
    each_tick(engine, END - 29 * MINUTE, END - MINUTE)
    assert len(keys(engine)) == 1


@pytest.mark.parametrize("misfire", ["once", "all"])
def test_a_single_instant_waits_too(engine: Engine, billing: Toolset, misfire: str) -> None:
    planned = add(engine, billing, "planned", at="2100-06-01T12:00Z", misfire=misfire, catch_up_seconds=0)
    freeze(engine, billing.project)
    each_tick(engine, NOON, END - MINUTE)
    waiting = row(engine, planned)
    assert (waiting.enabled, waiting.held_fire_at, waiting.suspended_reason) == (True, NOON, None)
    ticked(engine, END)
    ticked(engine, END + MINUTE)
    assert keys(engine) == [planned.key(NOON)]
    done = row(engine, planned)
    assert (done.enabled, done.last_fire_at, done.held_fire_at, done.suspended_reason) == (False, NOON, None, None)


def test_a_single_instant_that_does_not_wait_suspends_its_schedule(engine: Engine, billing: Toolset) -> None:
    planned = add(engine, billing, "planned", at="2100-06-01T12:00Z", misfire="skip")
    freeze(engine, billing.project)
    ticked(engine, NOON)
    assert (
        row(engine, planned).suspended_reason == "ScheduleMissed: its instant fell into a freeze, and it does not wait"
    )
    assert [one.type for one in events(engine)] == ["schedule.suspended"]


def test_a_freeze_that_is_taken_back_is_noticed_within_a_minute(engine: Engine, billing: Toolset) -> None:
    schedule = hourly(engine, billing)
    freeze(engine, billing.project)
    ticked(engine, NOON)
    thaw(engine)
    ticked(engine, NOON + timedelta(seconds=59))
    assert keys(engine) == []
    ticked(engine, NOON + MINUTE)
    assert keys(engine) == [schedule.key(NOON)]


def test_freezes_that_follow_each_other_are_one_to_what_waits(engine: Engine, billing: Toolset) -> None:
    schedule = hourly(engine, billing)
    freeze(engine, billing.project, ends=NOON + 20 * MINUTE)
    freeze(engine, billing.project.organization, starts=NOON + 10 * MINUTE, ends=NOON + 40 * MINUTE)
    each_tick(engine, NOON, NOON + 39 * MINUTE, MINUTE)
    assert keys(engine) == []
    ticked(engine, NOON + 40 * MINUTE)
    assert keys(engine) == [schedule.key(NOON)]


@pytest.mark.parametrize("misfire", ["once", "all", "skip"])
def test_in_an_organization_only_the_frozen_project_waits(engine: Engine, billing: Toolset, misfire: str) -> None:
    organization = billing.project.organization
    free = organization.project("free").toolset("one")
    schedule = add(engine, None, organization="acme", cron="0 * * * *", overlap="queue", misfire=misfire)
    due_at(engine, schedule, NOON)
    freeze(engine, billing.project, ends=NOON + 90 * MINUTE)
    each_tick(engine, NOON, NOON + 80 * MINUTE)

    def made() -> list[tuple[str, Any]]:
        return sorted((asked.idempotency_key, asked.toolset_id) for asked in ledger(engine))

    of_the_free = [(schedule.key(NOON + hour * HOUR), free.id) for hour in (0, 1)]
    assert made() == sorted(of_the_free)
    each_tick(engine, NOON + 90 * MINUTE, NOON + 110 * MINUTE)
    waited = {"once": [1], "all": [0, 1], "skip": []}[misfire]
    of_the_frozen = [(schedule.key(NOON + hour * HOUR), billing.id) for hour in waited]
    assert made() == sorted([*of_the_free, *of_the_frozen])
    assert row(engine, schedule).held_fire_at is None


def test_more_instants_than_fit_a_turn_all_wait(engine: Engine, billing: Toolset) -> None:
    schedule = add(engine, billing, overlap="queue", misfire="all", catch_up_seconds=0)
    due_at(engine, schedule, NOON)
    freeze(engine, billing.project)
    each_tick(engine, NOON, END - MINUTE, MINUTE)
    assert keys(engine) == []
    assert row(engine, schedule).held_fire_at == NOON
    for second in range(5):
        ticked(engine, END + timedelta(seconds=second))
    assert sorted(keys(engine)) == sorted(schedule.key(NOON + minute * MINUTE) for minute in range(181))
    assert row(engine, schedule).held_fire_at is None


@pytest.mark.parametrize("kind", ["check_drift", "verify", "prune"])
def test_what_changes_nothing_does_not_wait(engine: Engine, billing: Toolset, kind: str) -> None:
    arguments = {"keep": 3} if kind == "prune" else {}
    schedule = hourly(engine, billing, kind=kind, arguments=arguments)
    freeze(engine, billing.project)
    ticked(engine, NOON)
    assert keys(engine) == [schedule.key(NOON)]


def test_a_planned_rollback_is_not_suspended_for_a_freeze(engine: Engine, billing: Toolset) -> None:
    release(engine, billing)
    billing.edit(description="new")
    release(engine, billing)
    planned = add(engine, billing, "back", at="2100-06-01T12:00Z", kind="rollback", arguments={"release_number": 1})
    with engine.begin() as connection:  # in force now, too: that is when the rollback is planned
        connection.execute(
            text(
                "INSERT INTO release_freezes (organization_id, starts_at, ends_at, reason, created_by)"
                " VALUES (:id, '2000-01-01', :ends, 'long', 'ops')"
            ),
            {"id": billing.project.organization.id, "ends": END},
        )
    ticked(engine, NOON)
    assert row(engine, planned).suspended_reason is None
    thaw(engine)
    ticked(engine, NOON + 2 * MINUTE)
    assert keys(engine) == [planned.key(NOON)]
    assert mailbox(engine).work_until_done(ledger(engine)[0].id).status == "succeeded"


def test_a_toolset_that_had_an_instant_does_not_get_it_again_after_a_freeze_however_long_it_was(
    engine: Engine, billing: Toolset
) -> None:
    free = billing.project.organization.project("free").toolset("one")
    release(engine, free)
    schedule = add(engine, None, organization="acme", kind="repair")  # which has nothing to do, and leaves no record
    due_at(engine, schedule, NOON)
    freeze(engine, billing.project)
    ticked(engine, NOON)
    mailbox(engine).work_until_done(ledger(engine)[0].id)
    grow_old(engine, 30 * 86_400)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET finished_at = finished_at - interval '30 days'"))
    tidy(engine, TidyPolicy(keep=timedelta(days=7)))
    change(engine, schedule.id, next_fire_at=END + HOUR)
    ticked(engine, END)
    assert [asked.toolset_id for asked in ledger(engine)] == [free.id, billing.id]
    assert row(engine, schedule).held_fire_at is None
    tidy(engine, TidyPolicy(keep=timedelta(days=7)))
    assert [asked.toolset_id for asked in ledger(engine)] == [billing.id]
