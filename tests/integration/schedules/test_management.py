"""Schedules are added, paused, resumed, removed and run by hand, at once or in the caller's transaction."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.errors import (
    Frozen,
    InvalidRequest,
    NotConfigured,
    OwnerNotFound,
    ReleaseMarkedBad,
    ReleaseNotFound,
    ScheduleExists,
    ScheduleNotFound,
    ToolsetNotFound,
)
from tests.support.billing import a_full_toolset
from tests.support.freezes import freeze
from tests.support.ledger import ledger, mailbox
from tests.support.operations import release
from tests.support.records import insert_mark, number_of_rows
from tests.support.schedules import NOON, change, due_at, keys, row, ticked
from tests.support.workers import Service, published
from tests.support.world import Toolset, World

NIGHTLY: dict[str, Any] = {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "actor": "ops"}


@pytest.fixture
def billing(served: Service) -> Toolset:
    return a_full_toolset(served.engine)


def test_a_schedule_is_found_as_it_was_added(client: ReleaseClient, billing: Toolset) -> None:
    added = client.add_schedule(
        "nightly", toolset=billing.path, **NIGHTLY, arguments={"notes": "n", "labels": {"a": 1}}
    )
    assert client.schedule("nightly") == added
    assert client.schedules() == [added]
    assert (added.scope, added.target, added.organization) == ("toolset", billing.path, "acme")
    assert added.arguments == {"notes": "n", "labels": {"a": 1}, "only_if_changed": True}
    assert (added.misfire, added.catch_up_seconds, added.overlap, added.enabled) == ("once", 3600, "skip", True)
    assert added.created_by == "ops"
    fires = added.next_fires(3)
    assert [(one.hour, one.minute, str(one.tzinfo)) for one in fires] == [(3, 0, "Europe/Berlin")] * 3
    assert fires[0].astimezone(UTC) == added.next_fire_at
    assert fires[0] > datetime.now(UTC)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"project": "acme/payments"}, ("project", "acme/payments")),
        ({"project": "acme/payments", "organization": "acme"}, ("project", "acme/payments")),
        ({"organization": "acme"}, ("organization", "acme")),
    ],
)
def test_a_schedule_may_be_for_a_project_or_an_organization(
    client: ReleaseClient, billing: Toolset, scope: dict[str, Any], expected: tuple[str, str]
) -> None:
    added = client.add_schedule("nightly", **scope, **NIGHTLY)
    assert (added.scope, added.target) == expected


def test_a_name_is_taken_once_in_an_organization(served: Service, client: ReleaseClient, billing: Toolset) -> None:
    World(served.engine).organization("globex")
    client.add_schedule("nightly", toolset=billing.path, **NIGHTLY)
    with pytest.raises(ScheduleExists, match="organization acme has a schedule nightly already"):
        client.add_schedule("nightly", organization="acme", **NIGHTLY)
    theirs = client.add_schedule("nightly", organization="globex", **NIGHTLY)
    with pytest.raises(InvalidRequest, match="acme, globex; say which"):
        client.schedule("nightly")
    assert client.schedule("nightly", organization="globex") == theirs
    assert client.schedules(organization="globex") == [theirs]
    with pytest.raises(ScheduleNotFound):
        client.schedule("weekly")
    with pytest.raises(ScheduleNotFound):
        client.schedule("nightly", organization="initech")


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"cron": "often"}, InvalidRequest, "no cron expression"),
    ({"timezone": "Mars"}, InvalidRequest, "IANA"),
    ({"cron": None}, InvalidRequest, "either a cron expression"),
    ({"at": "2100-01-01"}, InvalidRequest, "either a cron expression"),
    ({"cron": None, "at": "2001-01-01"}, InvalidRequest, "at: this instant has passed"),
    ({"cron": None, "at": "2100-10-31T02:30"}, InvalidRequest, "twice"),
    ({"kind": "mark"}, InvalidRequest, "a schedule can ask for"),
    ({"kind": "nothing"}, InvalidRequest, "a schedule can ask for"),
    ({"arguments": {"noets": "n"}}, InvalidRequest, "noets"),
    ({"arguments": {"notes": 7}}, InvalidRequest, "notes"),
    ({"arguments": {"actor": "x"}}, InvalidRequest, "actor"),
    ({"kind": "rollback"}, InvalidRequest, "release_number"),
    ({"kind": "rollback", "arguments": {"release_number": 1, "dry_run": True}}, InvalidRequest, "dry_run"),
    ({"kind": "rollback", "arguments": {"release_number": 9}}, ReleaseNotFound, "has no release 9"),
    ({"kind": "rollback", "arguments": {"release_number": 2}}, ReleaseMarkedBad, "marked bad"),
    ({"misfire": "maybe"}, InvalidRequest, "misfire"),
    ({"overlap": "maybe"}, InvalidRequest, "overlap"),
    ({"catch_up_seconds": -1}, InvalidRequest, "catch_up_seconds"),
    ({"toolset": "acme/payments/none"}, ToolsetNotFound, "none"),
    ({"toolset": None, "project": "acme/none"}, OwnerNotFound, "acme/none"),
    ({"toolset": None, "organization": "none"}, OwnerNotFound, "none"),
    ({"toolset": None}, InvalidRequest, "a project or an organization"),
    ({"project": "acme/payments"}, InvalidRequest, "either a toolset or a project"),
    ({"organization": "globex"}, ToolsetNotFound, "billing"),
    ({"toolset": None, "project": "acme/payments", "kind": "rollback", "arguments": {"to": "previous"}},
     InvalidRequest, "of one toolset"),
    ({"toolset": None, "organization": "acme", "kind": "publish"}, InvalidRequest, "of one toolset"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "error", "words"), REFUSED, ids=[str(one[0]) for one in REFUSED])
def test_what_could_not_fire_is_refused_when_it_is_added(
    served: Service,
    client: ReleaseClient,
    billing: Toolset,
    fields: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    World(served.engine).organization("globex")
    release(served.engine, billing)
    billing.edit(description="two")
    release(served.engine, billing)
    insert_mark(served.engine, billing, 2, "bad")
    with pytest.raises(error, match=words):
        client.add_schedule("nightly", **{"toolset": billing.path, **NIGHTLY, **fields})
    assert number_of_rows(served.engine, "release_schedules") == 0


@pytest.mark.parametrize("name", ["", "two words", "a/b", "-x", "é", "a" * 101, "x\n"])
def test_a_name_is_one_plain_word(client: ReleaseClient, billing: Toolset, name: str) -> None:
    with pytest.raises(InvalidRequest, match="name"):
        client.add_schedule(name, toolset=billing.path, **NIGHTLY)


def test_a_paused_schedule_does_not_fire_and_catches_nothing_up(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    added = client.add_schedule("nightly", toolset=billing.path, **NIGHTLY, misfire="all", catch_up_seconds=2_592_000)
    due_at(served.engine, added, NOON)
    paused = client.pause_schedule("nightly")
    assert (paused.enabled, paused.next_fire_at, paused.next_fires(2)) == (False, None, [])
    ticked(served.engine, NOON + timedelta(days=2))
    assert keys(served.engine) == []
    resumed = client.resume_schedule("nightly")
    assert (resumed.enabled, resumed.next_fire_at) == (True, added.next_fire_at)
    ticked(served.engine, added.created_at)
    assert keys(served.engine) == []


def test_to_resume_an_active_schedule_takes_nothing_from_it(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    added = client.add_schedule("nightly", toolset=billing.path, **NIGHTLY)
    due_at(served.engine, added, NOON)
    assert client.resume_schedule("nightly").next_fire_at == NOON


def test_a_suspended_schedule_is_resumed_too(served: Service, client: ReleaseClient, billing: Toolset) -> None:
    added = client.add_schedule("nightly", toolset=billing.path, **NIGHTLY)
    change(served.engine, added.id, suspended_reason="broken", next_fire_at=NOON)
    assert client.schedule("nightly").next_fires(1) == []
    resumed = client.resume_schedule("nightly")
    assert (resumed.suspended_reason, resumed.next_fire_at) == (None, added.next_fire_at)


def test_a_schedule_whose_only_instant_has_passed_cannot_be_resumed(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    once = client.add_schedule("once", toolset=billing.path, at="2100-01-01", actor="ops")
    client.pause_schedule("once")
    assert client.resume_schedule("once").next_fire_at == once.fire_at
    client.pause_schedule("once")
    change(served.engine, once.id, fire_at=datetime(2001, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match="run it now"):
        client.resume_schedule("once")
    assert not row(served.engine, once).enabled


def test_a_schedule_is_removed_and_its_requests_stay(served: Service, client: ReleaseClient, billing: Toolset) -> None:
    added = client.add_schedule("nightly", toolset=billing.path, **NIGHTLY)
    due_at(served.engine, added, NOON)
    ticked(served.engine)
    assert client.remove_schedule("nightly").id == added.id
    assert number_of_rows(served.engine, "release_schedules") == 0
    assert mailbox(served.engine).work_until_done(ledger(served.engine)[0].id).status == "succeeded"
    with pytest.raises(ScheduleNotFound):
        client.remove_schedule("nightly")


def test_it_is_run_now_beside_its_clock_however_often(served: Service, client: ReleaseClient, billing: Toolset) -> None:
    other = billing.project.toolset("other")
    added = client.add_schedule("nightly", project="acme/payments", **NIGHTLY)
    client.pause_schedule("nightly")
    first, second = client.run_schedule_now("nightly"), client.run_schedule_now("nightly")
    assert set(first) == set(second) == {billing.path, other.path}
    assert [message.id for message in published(served)] == [
        handle.id for handles in (first, second) for handle in handles.values()
    ]
    assert len(set(keys(served.engine))) == 2
    assert all(key.startswith(f"schedule:{added.id}:now:") for key in keys(served.engine))
    assert all(handle.published for handle in first.values())
    assert row(served.engine, added).last_fire_at is None
    mailbox(served.engine).work_until_done(first[billing.path].id)
    assert first[billing.path].result(0).release_number == 1


def test_a_run_that_has_not_ended_is_an_overlap(served: Service, client: ReleaseClient, billing: Toolset) -> None:
    added = client.add_schedule("nightly", toolset=billing.path, **NIGHTLY)
    client.run_schedule_now("nightly")
    due_at(served.engine, added, NOON)
    ticked(served.engine)
    assert added.key(NOON) not in keys(served.engine)


def test_to_run_it_during_a_freeze_takes_a_reason(served: Service, client: ReleaseClient, billing: Toolset) -> None:
    freeze(billing.project)
    client.add_schedule("nightly", toolset=billing.path, **NIGHTLY)
    refused = client.run_schedule_now("nightly")[billing.path]
    mailbox(served.engine).work_until_done(refused.id)
    with pytest.raises(Frozen):
        refused.result(0)
    done = client.run_schedule_now("nightly", override_freeze="provider down")[billing.path]
    mailbox(served.engine).work_until_done(done.id)
    assert done.result(0).release_number == 1
    client.add_schedule("drift", toolset=billing.path, **NIGHTLY, kind="check_drift")
    with pytest.raises(InvalidRequest, match="override_freeze"):
        client.run_schedule_now("drift", override_freeze="provider down")


def test_to_run_a_planned_rollback_now_needs_its_target(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    release(served.engine, billing)
    client.add_schedule(
        "back", toolset=billing.path, at="2100-01-01", kind="rollback", arguments={"release_number": 1}, actor="ops"
    )
    insert_mark(served.engine, billing, 1, "bad")
    with pytest.raises(ReleaseMarkedBad):
        client.run_schedule_now("back")
    assert keys(served.engine) == []


def test_what_joins_a_transaction_happens_with_its_commit_or_never(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    for commit in (False, True):
        with Session(served.engine) as session:
            client.add_schedule("nightly", toolset=billing.path, **NIGHTLY, session=session)
            assert client.schedule("nightly", session=session).enabled
            client.pause_schedule("nightly", session=session)
            client.resume_schedule("nightly", session=session)
            handles = client.run_schedule_now("nightly", session=session)
            assert not handles[billing.path].published
            assert published(served) == []
            if commit:
                session.commit()
        assert number_of_rows(served.engine, "release_schedules") == commit
        assert [message.id for message in published(served)] == [handles[billing.path].id] * commit
    with Session(served.engine) as session:
        client.remove_schedule("nightly", session=session)
    assert number_of_rows(served.engine, "release_schedules") == 1


def test_a_pause_waits_for_a_tick_that_is_at_the_schedule(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    added = client.add_schedule("nightly", toolset=billing.path, **NIGHTLY)
    with served.engine.begin() as other:
        other.execute(text("SELECT FROM release_schedules WHERE id = :id FOR UPDATE"), {"id": added.id})
        with Session(served.engine) as session:
            session.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(Exception, match="lock timeout"):
                client.pause_schedule("nightly", session=session)


def test_schedules_need_a_database(served: Service, billing: Toolset) -> None:
    with served.client(database=False) as client, pytest.raises(NotConfigured):
        client.add_schedule("nightly", toolset=billing.path, **NIGHTLY)
