"""A chore that dies at any statement does no harm, and the next one does what it left."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from release_worker.operations.tidy import TidyPolicy, tidy
from release_worker.operations.watch_drift import watch_drift
from release_worker.state.registry import built_in_components
from release_worker.store.engine import make_engine
from tests.support.billing import a_full_toolset
from tests.support.events import events
from tests.support.kill_points import Killed, KillSwitch
from tests.support.ledger import ask, mailbox
from tests.support.operations import release
from tests.support.world import Toolset

OLD = "UPDATE release_requests SET created_at = now() - interval '9 days', finished_at = now() - interval '9 days'"


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@pytest.fixture
def mortal(database_url: str) -> Iterator[Engine]:
    """The engine of a chore that dies."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def deaths(engine: Engine, switch: KillSwitch, chore: Callable[[], object]) -> Iterator[int]:
    """Let the chore die at each of its moments in turn; after each death, and after the run that survives."""
    number = 0
    survived = False
    while not survived:
        switch.arm(number)
        with suppress(Killed):
            chore()
        survived = not switch.dead
        switch.disarm()
        switch.wait_until_noticed(engine)
        yield number
        number += 1


def test_a_pass_over_the_ledger_that_dies_deletes_nothing_that_is_named(
    engine: Engine, mortal: Engine, billing: Toolset
) -> None:
    policy = TidyPolicy(keep=timedelta(days=7), batch=2)
    kept = mailbox(engine).work_until_done(ask(engine, billing)).id

    def grow() -> None:
        for _ in range(3):
            mailbox(engine).work_until_done(ask(engine, billing, "verify"))
        with engine.begin() as connection:
            connection.execute(text(OLD))

    grow()
    moments = 0
    for _ in deaths(engine, KillSwitch(mortal), lambda: tidy(mortal, policy, place=0.0)):
        moments += 1
        tidy(engine, policy)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT id FROM release_requests")).scalars().all() == [kept]
        grow()
    assert moments > 10, "statements of three transactions, and their commits"


def test_a_look_for_drift_that_dies_tells_of_each_drift_once(engine: Engine, mortal: Engine, billing: Toolset) -> None:
    other = billing.project.toolset("other")
    toolsets = (billing, other)
    for toolset in toolsets:
        release(engine, toolset)
        toolset.edit(description="edited")
    registry = built_in_components()
    drifts = 0
    for met in deaths(engine, KillSwitch(mortal), lambda: watch_drift(mortal, registry)):
        watch_drift(engine, registry)
        drifts += len(toolsets)
        told = [one.data["release_number"] for one in events(engine) if one.type == "drift.detected"]
        assert len(told) == drifts
        with engine.connect() as connection:
            seen = connection.execute(text("SELECT drifted, components FROM toolset_drift")).all()
        assert [tuple(row) for row in seen] == [(True, ["settings"])] * len(toolsets)
        for toolset in toolsets:  # another release, and so another drift
            release(engine, toolset)
            toolset.edit(description=f"edited after death {met}")
    assert drifts > 40, "statements of three transactions, and their commits"
