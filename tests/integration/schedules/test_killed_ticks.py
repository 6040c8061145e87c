"""A tick that dies at any statement loses nothing and doubles nothing; so does the process that it runs in."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.embedded.process import eventually
from release_worker.operations.schedules.tick import Publish
from release_worker.operations.sweep import sweep
from release_worker.store.engine import make_engine
from release_worker.store.schedules import due_schedules
from tests.support.events import events
from tests.support.kill_points import Killed, KillSwitch
from tests.support.ledger import grow_old, ledger
from tests.support.operations import release
from tests.support.schedules import NOON, add, change, due_at, keys, row, ticked, unheard
from tests.support.workers import LONG
from tests.support.world import Toolset

MINUTE = timedelta(minutes=1)


@pytest.fixture
def mortal(database_url: str) -> Iterator[Engine]:
    """The engine of a tick that dies."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def further_ticks(engine: Engine, at: datetime, publish: Publish = unheard) -> None:
    """Those that come after a tick has died. Until PostgreSQL has noticed that, a row may still be held."""

    def nothing_is_due() -> bool:
        ticked(engine, at, publish)
        with engine.connect() as connection:
            return due_schedules(connection, at=at, limit=1) == []

    assert eventually(nothing_is_due, within=LONG)


def test_a_tick_that_dies_at_any_moment_loses_and_doubles_no_request(
    engine: Engine, mortal: Engine, billing: Toolset
) -> None:
    release(engine, billing)
    other = billing.project.toolset("other")
    one = add(engine, billing, "one", overlap="queue")
    all_of_it = add(engine, None, "all", organization="acme", overlap="queue", misfire="all", catch_up_seconds=600)
    back = add(engine, billing, "back", kind="rollback", arguments={"release_number": 1}, overlap="queue")
    switch = KillSwitch(mortal)
    deaths = 0
    survived = False
    while not survived:
        at = NOON + timedelta(hours=deaths)
        due_at(engine, one, at)
        due_at(engine, all_of_it, at - MINUTE)
        due_at(engine, back, at)
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM release_requests"))
        published: list[ScheduledRequest] = []
        switch.arm(deaths)
        with suppress(Killed):
            ticked(mortal, at, published.append)
        survived = not switch.dead
        switch.disarm()
        further_ticks(engine, at, published.append)
        made = ledger(engine)
        expected = [(one.key(at), billing.id), (back.key(at), billing.id)]
        expected += [(all_of_it.key(when), toolset.id) for when in (at - MINUTE, at) for toolset in (billing, other)]
        assert sorted((asked.idempotency_key, asked.toolset_id) for asked in made) == sorted(expected)
        heard = [request.id for request in published]
        assert len(heard) == len(set(heard))
        grow_old(engine, 16)
        again = sweep(engine, lambda _: None, attempts=3).published
        assert {asked.id for asked in made} <= {*heard, *again}
        deaths += 1
    assert deaths > 25, "statements of three schedules, and their commits"


def test_a_tick_that_dies_while_it_suspends_tells_of_it_once(engine: Engine, mortal: Engine, billing: Toolset) -> None:
    broken = add(engine, billing)
    change(engine, broken.id, timezone="Nowhere/Land")
    switch = KillSwitch(mortal)
    told = 0
    survived = False
    while not survived:
        change(engine, broken.id, next_fire_at=NOON, suspended_reason=None)
        switch.arm(told)
        with suppress(Killed):
            ticked(mortal)
        survived = not switch.dead
        switch.disarm()
        further_ticks(engine, NOON)
        assert row(engine, broken).suspended_reason is not None
        told += 1
        assert [one.type for one in events(engine)] == ["schedule.suspended"] * told
    assert keys(engine) == []
