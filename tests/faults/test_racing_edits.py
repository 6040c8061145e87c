"""An app deletes what a rollback is about to put back, after the rollback's snapshot was taken."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine

from release_worker.errors import VersionConflict
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


def test_a_rollback_that_an_apps_deletion_overtakes_is_tried_again_and_exact(engine: Engine, race: Race) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    released = live_state(engine, billing)
    race.moved(billing)
    deletion = Once(lambda: race.deleted(billing))

    roll_back(engine, billing, 1, attempts=2, registry=interrupted_by(deletion))

    assert live_state(engine, billing) == released


def test_a_rollback_that_an_apps_deletion_overtakes_is_a_conflict(engine: Engine, race: Race) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    race.moved(billing)
    deletion = Once(lambda: race.deleted(billing))

    with pytest.raises(VersionConflict):
        roll_back(engine, billing, 1, registry=interrupted_by(deletion))


def test_a_deletion_of_what_a_rollback_leaves_alone_counts_as_made_after_it(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.move_tool(INVOICE, 12)
    deletion = Once(lambda: billing.remove_tool(REFUND))

    roll_back(engine, billing, 1, registry=interrupted_by(deletion))

    assert drift(engine, billing).changes["tools"].removed == (REFUND,)
    assert not drift(engine, billing).changes["tools"].changed
