"""An app that holds nothing deletes what a rollback is about to put back, in the middle of it."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, text

from release_worker.embedded.process import eventually
from tests.support.billing import INVOICE, LEDGER, REFUND, a_full_toolset
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.plug_ins import Once, interrupted_by
from tests.support.world import Toolset

Edit = Callable[[Toolset], object]


@dataclass(frozen=True)
class Race:
    """`moved` differs from the release, so that the rollback restores its component; `deleted` goes meanwhile."""

    name: str
    moved: Edit
    deleted: Edit


RACES = (
    Race("a tool", lambda one: one.move_tool(INVOICE, 12), lambda one: one.remove_tool(INVOICE)),
    Race("a resource", lambda one: one.move_resource(LEDGER, 12), lambda one: one.remove_resource(LEDGER)),
    Race(
        "a configuration",
        lambda one: one.project.configure("model", "small"),
        lambda one: one.project.unconfigure("model"),
    ),
    Race(
        "a global variation",
        lambda one: one.project.organization.vary(INVOICE, {"name": "bill"}),
        lambda one: one.project.organization.unvary(INVOICE),
    ),
    Race(
        "a variation",
        lambda one: one.vary(REFUND, {"description": "Ours"}),
        lambda one: one.unvary(REFUND),
    ),
)


@pytest.fixture(params=RACES, ids=lambda race: race.name)
def race(request: pytest.FixtureRequest) -> Race:
    assert isinstance(request.param, Race)
    return request.param


def test_an_apps_deletion_in_the_middle_of_a_rollback_waits_and_is_made_on_what_was_put_back(
    engine: Engine, race: Race
) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    released = live_state(engine, billing)
    race.moved(billing)
    apps: list[Future[object]] = []

    def begin_to_delete() -> None:
        apps.append(pool.submit(race.deleted, billing))
        assert eventually(lambda: waits_for_a_lock(engine), within=30)

    with ThreadPoolExecutor(1) as pool:
        done = roll_back(engine, billing, 1, registry=interrupted_by(Once(begin_to_delete)))
        apps[0].result()
    assert done.current_release_number == 1
    [changed] = drift(engine, billing).changes.values()
    assert len(changed.removed) == 1
    assert not changed.added
    assert not changed.changed
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == released


def waits_for_a_lock(engine: Engine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())
