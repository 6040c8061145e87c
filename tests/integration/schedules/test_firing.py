"""What is due is fired once, whoever looks, and never twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, event, text

from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.errors import BrokerUnavailable
from release_worker.operations.schedules.tick import Ticked
from release_worker.operations.sweep import sweep
from tests.support.ledger import ask, claim, grow_old, ledger, mailbox, record, statuses
from tests.support.live_state import live_state
from tests.support.records import current_number, releases_of
from tests.support.schedules import NOON, add, change, due_at, keys, row, ticked
from tests.support.staging import stage
from tests.support.world import Toolset

MINUTE = timedelta(minutes=1)


def test_a_schedule_makes_one_request_for_its_instant_and_goes_on_to_the_next(engine: Engine, billing: Toolset) -> None:
    nightly = add(engine, billing, arguments={"notes": "each minute"})
    due_at(engine, nightly, NOON)
    done = ticked(engine, NOON + timedelta(seconds=3))
    assert [fired.instants for fired in done.fired] == [[NOON]]
    (asked,) = ledger(engine)
    assert asked.idempotency_key == f"schedule:{nightly.id}:2100-06-01T12:00:00Z"
    assert (asked.kind, asked.toolset_id, asked.requested_by) == ("create_release", billing.id, "schedule nightly")
    assert asked.payload["toolset"] == billing.path
    assert (asked.payload["notes"], asked.payload["only_if_changed"]) == ("each minute", True)
    now = row(engine, nightly)
    assert (now.last_fire_at, now.next_fire_at, now.enabled) == (NOON, NOON + MINUTE, True)


def test_nothing_is_fired_before_its_instant(engine: Engine, billing: Toolset) -> None:
    due_at(engine, add(engine, billing), NOON)
    assert ticked(engine, NOON - timedelta(microseconds=1)).fired == []
    assert keys(engine) == []


def test_a_worker_does_what_was_fired(engine: Engine, billing: Toolset) -> None:
    due_at(engine, add(engine, billing), NOON)
    made: list[ScheduledRequest] = []
    ticked(engine, publish=made.append)
    assert mailbox(engine).work_until_done(made[0].id).status == "succeeded"
    assert current_number(engine, billing) == 1


def test_nothing_is_released_where_nothing_has_changed(engine: Engine, billing: Toolset) -> None:
    due_at(engine, add(engine, billing), NOON)
    for at in (NOON, NOON + MINUTE):
        made: list[ScheduledRequest] = []
        ticked(engine, at, publish=made.append)
        mailbox(engine).work_until_done(made[0].id)
    assert len(ledger(engine)) == 2
    assert len(releases_of(engine, billing)) == 1


@pytest.mark.parametrize("ticks", [2, 8])
def test_ticks_at_the_same_time_fire_an_instant_once(engine: Engine, billing: Toolset, ticks: int) -> None:
    schedules = [add(engine, billing, f"each-{number}", overlap="queue") for number in range(5)]
    for schedule in schedules:
        due_at(engine, schedule, NOON)
    together = Barrier(ticks)

    def one(_: int) -> Ticked:
        together.wait()
        return ticked(engine)

    with ThreadPoolExecutor(ticks) as threads:
        done = list(threads.map(one, range(ticks)))
    assert sorted(keys(engine)) == sorted(schedule.key(NOON) for schedule in schedules)
    assert sum(len(one.fired) for one in done) == len(schedules)
    assert sum(one.published for one in done) == len(schedules)


def test_a_tick_passes_by_a_schedule_that_another_one_is_at(engine: Engine, billing: Toolset) -> None:
    held, free = add(engine, billing, "held"), add(engine, billing, "free")
    for schedule in (held, free):
        due_at(engine, schedule, NOON)
    with engine.begin() as other:
        other.execute(text("SELECT FROM release_schedules WHERE id = :id FOR UPDATE"), {"id": held.id})
        ticked(engine)
        assert keys(engine) == [free.key(NOON)]
    ticked(engine)
    assert keys(engine) == [free.key(NOON), held.key(NOON)]


def test_a_clock_that_jumps_back_fires_nothing_again(engine: Engine, billing: Toolset) -> None:
    nightly = add(engine, billing)
    due_at(engine, nightly, NOON)
    ticked(engine, NOON)
    ticked(engine, NOON - timedelta(hours=1))
    ticked(engine, NOON + timedelta(seconds=30))
    assert keys(engine) == [nightly.key(NOON)]
    ticked(engine, NOON + MINUTE)
    assert len(keys(engine)) == 1, "the request before has not ended"


def test_an_instant_is_not_fired_again_even_if_the_ledger_has_forgotten_it(engine: Engine, billing: Toolset) -> None:
    nightly = add(engine, billing, overlap="queue")
    due_at(engine, nightly, NOON)
    ticked(engine, NOON)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM release_requests"))
    due_at(engine, nightly, NOON - MINUTE)
    ticked(engine, NOON + timedelta(seconds=1))
    assert keys(engine) == []
    assert row(engine, nightly).next_fire_at == NOON + MINUTE


def test_an_instant_is_not_fired_again_even_if_the_schedule_has_forgotten_it(engine: Engine, billing: Toolset) -> None:
    nightly = add(engine, billing, overlap="queue")
    due_at(engine, nightly, NOON)
    ticked(engine, NOON)
    change(engine, nightly.id, next_fire_at=NOON, last_fire_at=None)
    ticked(engine, NOON + timedelta(seconds=1))
    assert keys(engine) == [nightly.key(NOON)]
    assert (row(engine, nightly).next_fire_at, row(engine, nightly).suspended_reason) == (NOON + MINUTE, None)


def test_a_schedule_with_one_instant_fires_once_and_is_done(engine: Engine, billing: Toolset) -> None:
    once = add(engine, billing, "once", at="2100-06-01T12:00Z")
    assert row(engine, once).next_fire_at == NOON
    ticked(engine, NOON)
    ticked(engine, NOON + MINUTE)
    done = row(engine, once)
    assert (done.enabled, done.next_fire_at, done.last_fire_at, done.suspended_reason) == (False, None, NOON, None)
    assert keys(engine) == [once.key(NOON)]


def test_a_project_and_an_organization_mean_each_living_toolset_at_that_instant(
    engine: Engine, billing: Toolset
) -> None:
    project = billing.project
    gone = project.toolset("gone")
    stage(engine, billing)
    elsewhere = project.organization.project("elsewhere").toolset("other")
    by_project = add(engine, None, "by-project", project=f"{project.organization.slug}/{project.slug}")
    by_organization = add(engine, None, "by-organization", organization=project.organization.slug)
    gone.delete()
    late = project.toolset("late")
    before = len(ledger(engine))
    for schedule in (by_project, by_organization):
        due_at(engine, schedule, NOON)
    ticked(engine)
    made = [(asked.idempotency_key, asked.toolset_id) for asked in ledger(engine)[before:]]
    of_the_project = {billing.id, late.id}
    for schedule, toolsets in ((by_project, of_the_project), (by_organization, of_the_project | {elsewhere.id})):
        assert {toolset for key, toolset in made if key == schedule.key(NOON)} == toolsets
    assert len(made) == 5


def test_toolsets_in_any_number_take_the_same_number_of_statements(engine: Engine, billing: Toolset) -> None:
    counted: list[int] = []
    organization = billing.project.organization
    for number in (1, 300):
        for slug in range(number):
            organization.project(f"p-{number}-{slug}").toolset("one")
        schedule = add(engine, None, f"all-{number}", organization=organization.slug)
        due_at(engine, schedule, NOON)
        statements: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *given, into=statements: into.append(given[2]))
        done = ticked(engine)
        counted.append(len(statements))
        assert len(done.fired[0].requests) >= number
    assert counted[0] == counted[1]


def test_a_toolset_that_was_renamed_is_still_the_one_that_was_meant(engine: Engine, billing: Toolset) -> None:
    due_at(engine, add(engine, billing), NOON)
    billing.edit(slug="renamed")
    billing.project.toolset("billing")  # another one has the name now
    ticked(engine)
    (asked,) = ledger(engine)
    assert (asked.toolset_id, asked.payload["toolset"]) == (billing.id, "acme/payments/renamed")


def test_what_was_committed_and_not_published_is_published_by_the_sweeper(engine: Engine, billing: Toolset) -> None:
    due_at(engine, add(engine, billing), NOON)

    def away(_: ScheduledRequest) -> None:
        raise BrokerUnavailable(reason="away")

    done = ticked(engine, publish=away)
    assert (done.published, done.unpublished, len(done.fired)) == (0, 1, 1)
    grow_old(engine, 16)
    found: list[str] = []
    sweep(engine, lambda asked: found.append(asked.id), attempts=3)
    assert found == [asked.id for asked in ledger(engine)]


def test_a_broker_that_is_away_is_tried_once_in_a_tick(engine: Engine, billing: Toolset) -> None:
    for number in range(3):
        due_at(engine, add(engine, billing, f"each-{number}", overlap="queue"), NOON)
    tried: list[str] = []

    def away(made: ScheduledRequest) -> None:
        tried.append(made.id)
        raise BrokerUnavailable(reason="away")

    assert ticked(engine, publish=away).unpublished == 3
    assert len(tried) == 1


@pytest.mark.parametrize(("overlap", "made"), [("skip", 1), ("queue", 2)])
def test_an_instant_that_comes_before_the_last_has_ended(
    engine: Engine, billing: Toolset, overlap: str, made: int
) -> None:
    nightly = add(engine, billing, overlap=overlap)
    due_at(engine, nightly, NOON)
    ticked(engine, NOON)
    ticked(engine, NOON + MINUTE)
    assert len(keys(engine)) == made
    mailbox(engine).work_until_done(ledger(engine)[-1].id)
    ticked(engine, NOON + 2 * MINUTE)
    assert keys(engine)[-1] == nightly.key(NOON + 2 * MINUTE)
    assert len(keys(engine)) == made + 1


def test_overlap_is_between_the_requests_of_one_schedule_and_one_toolset(engine: Engine, billing: Toolset) -> None:
    other = billing.project.toolset("other")
    every = add(engine, None, "all", organization="acme")
    due_at(engine, every, NOON)
    ask(engine, billing)  # somebody's own
    ticked(engine, NOON)
    first = {asked.toolset_id: asked.id for asked in ledger(engine) if asked.idempotency_key}
    assert set(first) == {billing.id, other.id}
    mailbox(engine).work_until_done(first[other.id])
    ticked(engine, NOON + MINUTE)
    second = [asked.toolset_id for asked in ledger(engine) if asked.idempotency_key == every.key(NOON + MINUTE)]
    assert second == [other.id]


def test_a_running_request_counts_as_not_ended(engine: Engine, billing: Toolset) -> None:
    nightly = add(engine, billing)
    due_at(engine, nightly, NOON)
    ticked(engine, NOON)
    claim(engine, ledger(engine)[0].id)
    ticked(engine, NOON + MINUTE)
    assert keys(engine) == [nightly.key(NOON)]
    assert statuses(engine) == ["running"]


def test_drift_is_checked_and_nothing_else_happens(engine: Engine, billing: Toolset) -> None:
    due_at(engine, add(engine, billing, kind="check_drift"), NOON)
    before = live_state(engine, billing)
    ticked(engine)
    asked = ledger(engine)[0]
    assert mailbox(engine).work_until_done(asked.id).status == "succeeded"
    assert live_state(engine, billing) == before
    assert record(engine, asked.id).kind == "check_drift"
    assert current_number(engine, billing) is None


def test_a_tick_takes_so_many_and_the_next_one_takes_the_rest(engine: Engine, billing: Toolset) -> None:
    schedules = [add(engine, billing, f"each-{number}", overlap="queue") for number in range(5)]
    for late, schedule in enumerate(schedules):
        due_at(engine, schedule, NOON - timedelta(seconds=late))
    assert [fired.name for fired in ticked(engine, limit=3).fired] == ["each-4", "each-3", "each-2"]
    assert [fired.name for fired in ticked(engine, limit=3).fired] == ["each-1", "each-0"]
