"""Whatever a toolset is and its copy becomes, published it is what the copy was, and all else is as before."""

from hypothesis import given
from sqlalchemy import Engine

from tests.support.any_toolset import CONTENTS, Content, empty_toolset, write_all, write_own
from tests.support.live_state import live_state
from tests.support.operations import release
from tests.support.records import captured_state
from tests.support.staging import publish, stage
from tests.support.strategies import examples_in_one_database
from tests.support.world import Toolset


@examples_in_one_database(60)
@given(first=CONTENTS, second=CONTENTS)
def test_a_toolset_of_any_content_staged_edited_and_published_is_what_the_copy_was(
    engine: Engine, first: Content, second: Content
) -> None:
    toolset = empty_toolset(engine)
    write_all(toolset, first)
    released = release(engine, toolset)
    before = live_state(engine, toolset)

    copy = stage(engine, toolset)
    assert live_state(engine, copy) == before
    empty(copy)
    write_own(copy, second)
    staged = live_state(engine, copy)
    assert live_state(engine, toolset) == before

    done = publish(engine, toolset)
    assert live_state(engine, toolset) == staged == captured_state(engine, toolset, done.release_number)
    assert done.created == (staged != before)
    assert (done.digest == released.digest) == (staged == before)


def empty(toolset: Toolset) -> None:
    for table in ("toolset_tools", "toolset_resources", "variations"):
        toolset.rows.delete(table, {"toolset_id": toolset.id})
