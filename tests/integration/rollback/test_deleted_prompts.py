"""Prompt templates are deleted softly, and may be written again under the same name: one of them comes back."""

from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from tests.support.billing import a_full_toolset
from tests.support.databases import without_indexes
from tests.support.live_state import live_state
from tests.support.operations import release, roll_back
from tests.support.world import Toolset

EARLIER, LATER = "2026-01-01 10:00+00", "2026-01-02 10:00+00"


def deleted_prompts(toolset: Toolset, *deleted_at: str) -> list[UUID]:
    """Templates of one name, written in this order, that were deleted at these times."""
    made = []
    for number, when in enumerate(deleted_at):
        made.append(toolset.project.add_prompt("again", prompt=f"This is number {number}."))
        toolset.project.edit_prompt("again", deleted_at=when)
    return made


def offered(engine: Engine) -> list[UUID]:
    query = "SELECT id FROM prompt_templates WHERE name = 'again' AND deleted_at IS NULL"
    with engine.connect() as connection:
        return list(connection.execute(text(query)).scalars())


@pytest.mark.parametrize("indexes", [True, False], ids=["with indexes", "without"])
@pytest.mark.parametrize(
    ("times", "newest"),
    [
        ((EARLIER, LATER), 1),
        ((LATER, EARLIER), 0),
        ((EARLIER, LATER, EARLIER), 1),
        ((LATER, LATER, EARLIER), 1),
    ],
    ids=["in order", "out of order", "in the middle", "two at the same time"],
)
def test_of_several_deleted_templates_of_one_name_the_one_deleted_last_comes_back(
    engine: Engine, times: tuple[str, ...], newest: int, *, indexes: bool
) -> None:
    billing = a_full_toolset(engine)
    if not indexes:
        without_indexes(engine)
    billing.project.add_prompt("again", prompt="As it was released.")
    released = live_state(engine, billing)
    release(engine, billing)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM prompt_templates WHERE name = 'again'"))
    made = deleted_prompts(billing, *times)
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == released
    assert offered(engine) == [made[newest]]
