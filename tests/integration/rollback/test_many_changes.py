"""More differences than a result tells: so many of each component are told, the others counted; all are restored."""

import pytest
from sqlalchemy import Engine, text

from release_worker.domain import changes
from release_worker.errors import SharedStateImpact
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.world import Deployment, Toolset, World

KEYS, ITEMS = changes.TOLD_KEYS, changes.TOLD_ITEMS
# In the list afterwards: moved, removed, or new. In the deployment, all of the old ones are defined otherwise.
MOVED, REMOVED, NEW = ITEMS + 3, KEYS + 5, KEYS + 7

LIST = """
    INSERT INTO toolset_tools (toolset_id, tool_urn, position)
    SELECT :toolset_id, 'tools:http:api:' || :word || to_char(item, 'FM000000'), item
    FROM generate_series(1, :number) AS item
"""
DEFINE = """
    INSERT INTO tool_definitions (deployment_id, urn, name, definition)
    SELECT :deployment_id, 'tools:http:api:moved_' || to_char(item, 'FM000000'), 'name',
           jsonb_build_object('timeout', CAST(:timeout AS text))
    FROM generate_series(1, :number) AS item
"""


@pytest.fixture
def many(engine: Engine) -> Toolset:
    """A toolset released once, in which more has changed since than is told of any sort."""
    project = World(engine).organization("acme").project("payments")
    toolset = project.toolset("billing")

    def put(statement: str, **values: object) -> None:
        with engine.begin() as connection:
            connection.execute(text(statement), {"toolset_id": toolset.id, **values})

    def deploy(timeout: int) -> Deployment:
        deployment = project.deploy()
        put(DEFINE, deployment_id=deployment.id, number=MOVED, timeout=str(timeout))
        return deployment

    deploy(1)
    put(LIST, word="moved_", number=MOVED)
    put(LIST, word="removed_", number=REMOVED)
    release(engine, toolset)
    put("UPDATE toolset_tools SET position = position + 1000000 WHERE toolset_id = :toolset_id")
    put("DELETE FROM toolset_tools WHERE toolset_id = :toolset_id AND tool_urn LIKE 'tools:http:api:removed%'")
    put(LIST, word="new_", number=NEW)
    deploy(2)
    return toolset


def test_so_many_differences_are_told_the_others_counted_and_all_restored(engine: Engine, many: Toolset) -> None:
    before = drift(engine, many)
    planned = roll_back(engine, many, 1, dry_run=True)
    done = roll_back(engine, many, 1)
    tools, deployment = done.changes["tools"], done.changes["deployment"]
    assert (len(tools.added), len(tools.removed), len(tools.changed)) == (KEYS, KEYS, ITEMS)
    assert tools.omitted == {"added": REMOVED - KEYS, "changed": MOVED - ITEMS, "removed": NEW - KEYS}
    assert tools.added == tuple(f"tools:http:api:removed_{number:06}" for number in range(1, KEYS + 1))
    assert [one["key"] for one in tools.changed] == [f"tools:http:api:moved_{n:06}" for n in range(1, ITEMS + 1)]
    assert tools.changed[0]["fields"] == {"position": {"old": 1_000_001, "new": 1}}
    assert deployment.omitted == {"changed": MOVED - ITEMS}
    assert deployment.changed[0]["fields"] == {"definition": {"old": {"timeout": "2"}, "new": {"timeout": "1"}}}
    assert planned.changes == done.changes
    assert before.changes["tools"].omitted == {
        "added": NEW - KEYS,
        "changed": MOVED - ITEMS,
        "removed": REMOVED - KEYS,
    }
    assert not drift(engine, many).drifted


def test_what_is_not_told_reaches_other_toolsets_all_the_same(engine: Engine, many: Toolset) -> None:
    neighbour = many.project.toolset("neighbour", tools=[f"tools:http:api:moved_{MOVED:06}"])
    before = live_state(engine, many)
    with pytest.raises(SharedStateImpact) as refused:
        roll_back(engine, many, 1)
    assert [one["path"] for one in refused.value.details["toolsets"]] == [neighbour.path]
    assert live_state(engine, many) == before
