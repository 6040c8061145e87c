"""More differences than a result tells: a thousand of each component are told, the others counted; all are restored."""

import pytest
from sqlalchemy import Engine

from release_worker.errors import SharedStateImpact
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.world import Toolset, World

TOLD = 1_000
URNS = [f"tools:http:api:tool_{number:05}" for number in range(1_200)]


@pytest.fixture
def many(engine: Engine) -> Toolset:
    """A toolset of 1,200 tools, released once; then each has moved or is gone, and is defined otherwise; 50 are new."""
    world = World(engine)
    with world.transaction():
        project = world.organization("acme").project("payments")
        project.deploy(tools={urn: {"timeout": 1} for urn in URNS})
        toolset = project.toolset("billing", tools=URNS)
    release(engine, toolset)
    with world.transaction():
        for place, urn in enumerate(URNS):
            if place % 4 == 0:
                toolset.remove_tool(urn)
            else:
                toolset.move_tool(urn, place + 10_000)
        for number in range(50):
            toolset.add_tool(f"tools:http:api:new_{number:05}")
        project.deploy(tools={urn: {"timeout": 2} for urn in URNS})
    return toolset


def test_a_thousand_differences_are_told_the_others_counted_and_all_restored(engine: Engine, many: Toolset) -> None:
    release(engine, many)
    done = roll_back(engine, many, 1)
    tools, deployment = done.changes["tools"], done.changes["deployment"]
    assert len(tools.keys) == len(deployment.keys) == TOLD
    assert tools.removed == tuple(f"tools:http:api:new_{number:05}" for number in range(50))
    assert tools.omitted == {"added": (1_250 - TOLD) // 4, "changed": (1_250 - TOLD) * 3 // 4 + 1}
    assert list(tools.added) == URNS[:950:4]
    assert deployment.omitted == {"changed": 200}
    assert deployment.changed[0]["fields"] == {"definition": {"old": {"timeout": 2}, "new": {"timeout": 1}}}
    assert not drift(engine, many).drifted


def test_drift_and_plan_tell_the_same_number(engine: Engine, many: Toolset) -> None:
    found = drift(engine, many).changes["tools"].omitted
    planned = roll_back(engine, many, 1, dry_run=True).changes["tools"].omitted
    assert found is not None
    assert planned is not None
    assert (found["removed"], found["changed"]) == (planned["added"], planned["changed"])


def test_what_is_not_told_reaches_other_toolsets_all_the_same(engine: Engine, many: Toolset) -> None:
    neighbour = many.project.toolset("neighbour", tools=URNS[-1:])
    before = live_state(engine, many)
    with pytest.raises(SharedStateImpact) as refused:
        roll_back(engine, many, 1)
    assert [one["path"] for one in refused.value.details["toolsets"]] == [neighbour.path]
    assert live_state(engine, many) == before
