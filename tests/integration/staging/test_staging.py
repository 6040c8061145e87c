"""A staged copy is a toolset of its own that has what its parent has, until it is edited, published or discarded."""

from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from release_worker.errors import InvalidRequest, ToolsetNotFound, VersionConflict
from release_worker.store.engine import locking_transaction
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.staging import insert_copy
from tests.support.billing import INVOICE, a_full_toolset, edit_everything
from tests.support.live_state import live_state
from tests.support.operations import release, roll_back
from tests.support.plug_ins import Flags, create_flags_table, flags_of, set_flag, with_plug_ins
from tests.support.records import releases_of, whole_database
from tests.support.staging import discard, living_copies, publish, set_mode, stage
from tests.support.world import Toolset, World


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def link(toolset: Toolset, parent: Toolset) -> None:
    """As an app may: name a parent."""
    toolset.edit(parent_toolset_id=parent.id)


def is_live(engine: Engine, toolset: Toolset) -> bool:
    with engine.connect() as connection:
        query = text("SELECT deleted_at IS NULL FROM toolsets WHERE id = :id")
        return bool(connection.execute(query, {"id": toolset.id}).scalar_one())


def test_a_copy_has_all_that_its_parent_has_and_leaves_it_as_it_was(engine: Engine, billing: Toolset) -> None:
    before = live_state(engine, billing)
    copy = stage(engine, billing)
    assert live_state(engine, copy) == live_state(engine, billing) == before
    assert copy.id != billing.id
    assert copy.slug.startswith("billing-staging-")
    assert living_copies(engine, billing) == [copy.id]


def test_a_copy_has_what_plug_ins_hold_of_the_toolset(engine: Engine, billing: Toolset) -> None:
    create_flags_table(engine)
    set_flag(engine, billing.id, "beta", "1.50")
    copy = stage(engine, billing, registry=with_plug_ins(Flags()))
    assert flags_of(engine, copy.id) == flags_of(engine, billing.id) == {"beta": "1.50"}


def test_what_is_edited_in_a_copy_is_not_edited_in_its_parent(engine: Engine, billing: Toolset) -> None:
    before = live_state(engine, billing)
    copy = stage(engine, billing)
    copy.remove_tool(INVOICE)
    copy.vary(INVOICE, {"name": "staged"})
    copy.edit(settings={"timeout": 1})
    assert live_state(engine, billing) == before


def test_who_asks_twice_gets_the_copy_that_is_there_with_its_edits(engine: Engine, billing: Toolset) -> None:
    first = stage(engine, billing)
    first.edit(name="Staged")
    assert stage(engine, billing).id == first.id
    assert live_state(engine, first)["settings"]["name"] == "Staged"


def test_the_database_refuses_a_second_copy(engine: Engine, billing: Toolset) -> None:
    stage(engine, billing)
    other = billing.project.toolset("other")
    with pytest.raises(IntegrityError, match="toolsets_staged_copy_key"):
        link(other, billing)


def test_a_copy_of_a_copy_is_refused(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    before = whole_database(engine)
    with pytest.raises(InvalidRequest, match="is a staged copy itself"):
        stage(engine, copy)
    for operation in (publish, discard):
        with pytest.raises(InvalidRequest, match="is a staged copy itself"):
            operation(engine, copy)
    assert whole_database(engine) == before


def test_a_copy_whose_parent_is_deleted_is_still_not_staged(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    billing.delete()
    with pytest.raises(InvalidRequest, match="is a staged copy itself"):
        stage(engine, copy)


def test_nothing_can_be_asked_of_a_deleted_toolset(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    billing.delete()
    for operation in (stage, publish, discard):
        with pytest.raises(ToolsetNotFound):
            operation(engine, billing)
    assert is_live(engine, copy)


def test_a_deleted_copy_is_none_and_a_new_one_can_be_made(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    copy.delete()
    for operation in (publish, discard):
        with pytest.raises(ToolsetNotFound, match="has no staged copy"):
            operation(engine, billing)
    assert stage(engine, billing).id != copy.id


def test_the_slug_of_a_copy_is_no_obstacle_and_meets_none(engine: Engine, billing: Toolset) -> None:
    """Whatever real toolsets are called: an app has the slug that the next copy would get."""
    taken, drawn = UUID("01900000-0000-7000-8000-0123456789ab"), UUID("01900000-0000-7000-8000-ba9876543210")
    real = billing.project.toolset("billing-staging-0123456789ab")
    with locking_transaction(engine) as connection:
        parent = toolset_of_id(connection, billing.id)
        with pytest.raises(VersionConflict):
            insert_copy(connection, parent, taken)
        assert insert_copy(connection, parent, drawn).path == "acme/payments/billing-staging-ba9876543210"
    assert is_live(engine, real)
    discard(engine, billing)
    assert is_live(engine, real)


def test_discarding_deletes_the_copy_alone_and_softly(engine: Engine, billing: Toolset) -> None:
    named_alike = [billing.project.toolset(slug) for slug in ("billing-staging", "billing-staging-1", "billing2")]
    copy = stage(engine, billing)
    state = live_state(engine, copy)
    done = discard(engine, billing)
    assert (done.toolset_id, done.discarded_toolset_id) == (billing.id, copy.id)
    assert not is_live(engine, copy)
    assert live_state(engine, copy) == state
    assert all(is_live(engine, one) for one in (billing, *named_alike))


def test_without_a_copy_there_is_nothing_to_discard(engine: Engine, billing: Toolset) -> None:
    billing.project.toolset("billing-staging")
    before = whole_database(engine)
    with pytest.raises(ToolsetNotFound, match="has no staged copy"):
        discard(engine, billing)
    assert whole_database(engine) == before


@pytest.mark.parametrize("elsewhere", ["another project", "another organization"])
def test_a_toolset_elsewhere_that_names_this_one_as_its_parent_is_no_copy(
    engine: Engine, billing: Toolset, elsewhere: str
) -> None:
    organization = (
        billing.project.organization if elsewhere == "another project" else World(engine).organization("evil")
    )
    stranger = organization.project("theirs").toolset("stranger", tools=["tools:evil"])
    link(stranger, billing)
    for operation in (publish, discard):
        with pytest.raises(ToolsetNotFound, match="has no staged copy"):
            operation(engine, billing)
    assert is_live(engine, stranger)
    copy = stage(engine, billing)
    assert copy.id != stranger.id
    discard(engine, billing)
    assert is_live(engine, stranger)
    stage(engine, stranger)


def test_a_copy_can_be_released_and_rolled_back_as_any_toolset(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    assert releases_of(engine, copy) == []
    release(engine, copy)
    before = live_state(engine, copy)
    copy.remove_tool(INVOICE)
    roll_back(engine, copy, 1)
    assert live_state(engine, copy) == before
    assert releases_of(engine, billing) == []


def test_a_staged_copy_is_not_in_the_way_of_its_parents_rollback(engine: Engine, billing: Toolset) -> None:
    """It would serve something else then, but it is no toolset of somebody else's."""
    release(engine, billing)
    stage(engine, billing)
    edit_everything(billing)
    assert roll_back(engine, billing, 1).backup_release_number == 2


def test_the_mode_is_what_was_set_last_and_changes_nothing_else(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    before = live_state(engine, billing)
    for mode in ("staging", "staging", "iteration"):
        assert set_mode(engine, billing, mode).mode == mode
    assert live_state(engine, billing) == before
    assert is_live(engine, copy)
