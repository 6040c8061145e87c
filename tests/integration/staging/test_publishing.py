"""Publishing gives a toolset what its copy has, keeps what that overwrites, and releases it, or does nothing."""

import pytest
from sqlalchemy import Engine

from release_worker.errors import IntegrityMismatch, StaleState, VersionConflict
from tests.support.billing import EDITS, a_full_toolset
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.plug_ins import Flags, Interruption, create_flags_table, flags_of, set_flag, with_plug_ins
from tests.support.records import captured_state, current_number, release_of, releases_of, whole_database
from tests.support.staging import living_copies, publish, set_mode, stage
from tests.support.world import Toolset

OWN = ("tools", "resources", "settings", "toolset_variations")


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Released once, and as it was then."""
    toolset = a_full_toolset(engine)
    release(engine, toolset)
    return toolset


def edit_own(toolset: Toolset) -> None:
    for name in OWN:
        EDITS[name](toolset)


def test_the_parent_takes_over_what_was_staged_and_is_released(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    edit_own(copy)
    staged = live_state(engine, copy)
    done = publish(engine, billing, notes="ready", labels={"build": "7"})
    assert live_state(engine, billing) == staged == captured_state(engine, billing, 2)
    assert (done.toolset_id, done.release_number, done.created, done.backup_release_number) == (
        billing.id, 2, True, None,
    )  # fmt: skip
    assert set(done.changes) == set(OWN)
    assert current_number(engine, billing) == 2
    row = release_of(engine, billing, 2)
    assert (row.kind, row.notes, row.labels) == ("release", "ready", {"build": "7"})
    assert not drift(engine, billing).drifted


def test_what_no_release_held_is_kept_in_a_backup_first_and_can_be_put_back(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    copy.edit(name="Staged")
    edit_own(billing)
    unreleased = live_state(engine, billing)
    done = publish(engine, billing)
    assert (done.backup_release_number, done.release_number) == (2, 3)
    assert [row.kind for row in releases_of(engine, billing)] == ["release", "backup", "release"]
    assert captured_state(engine, billing, 2) == unreleased
    roll_back(engine, billing, 2)
    assert live_state(engine, billing) == unreleased


def test_what_is_not_the_toolsets_own_stays_as_it_is_live(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    copy.edit(name="Staged")
    for name in ("deployment", "system", "global_variations"):
        EDITS[name](billing)
    shared = {name: live_state(engine, billing)[name] for name in ("deployment", "system", "global_variations")}
    publish(engine, billing)
    assert {name: live_state(engine, billing)[name] for name in shared} == shared
    assert captured_state(engine, billing, 3) == live_state(engine, billing)


def test_a_copy_that_was_not_edited_changes_nothing_and_makes_no_release(engine: Engine, billing: Toolset) -> None:
    stage(engine, billing)
    done = publish(engine, billing)
    assert (done.created, done.release_number, done.changes) == (False, 1, {})
    assert len(releases_of(engine, billing)) == 1


def test_a_toolset_that_was_never_released_is_released_by_its_first_publication(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    stage(engine, billing)
    done = publish(engine, billing)
    assert (done.created, done.release_number, done.backup_release_number) == (True, 1, None)


def test_in_iteration_mode_the_copy_is_gone_when_it_is_published(engine: Engine, billing: Toolset) -> None:
    copy = stage(engine, billing)
    done = publish(engine, billing)
    assert (done.discarded, done.staged_toolset_id) == (True, copy.id)
    assert living_copies(engine, billing) == []


def test_in_staging_mode_the_copy_stays_for_the_next_edits(engine: Engine, billing: Toolset) -> None:
    set_mode(engine, billing, "staging")
    copy = stage(engine, billing)
    for name in ("First", "Second"):
        copy.edit(name=name)
        assert not publish(engine, billing).discarded
        assert live_state(engine, billing) == live_state(engine, copy)
        assert stage(engine, billing).id == copy.id
    assert [row.kind for row in releases_of(engine, billing)] == ["release"] * 3


def test_who_expects_another_release_publishes_nothing(engine: Engine, billing: Toolset) -> None:
    stage(engine, billing).edit(name="Staged")
    before = whole_database(engine)
    with pytest.raises(StaleState):
        publish(engine, billing, expected_current_release=7)
    assert whole_database(engine) == before


def test_what_plug_ins_hold_is_published_with_the_rest(engine: Engine, billing: Toolset) -> None:
    create_flags_table(engine)
    registry = with_plug_ins(Flags())
    set_flag(engine, billing.id, "beta", "1")
    copy = stage(engine, billing, registry=registry)
    set_flag(engine, copy.id, "beta", "2")
    assert set(publish(engine, billing, registry=registry).changes) == {"flags"}
    assert flags_of(engine, billing.id) == {"beta": "2"}


def test_a_component_that_does_not_restore_undoes_the_whole_publication(engine: Engine, billing: Toolset) -> None:
    stage(engine, billing).edit(name="Staged")
    refuse = """
        CREATE FUNCTION keep_name() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.name := OLD.name; RETURN NEW; END $$;
        CREATE TRIGGER keep_name BEFORE UPDATE ON toolsets FOR EACH ROW EXECUTE FUNCTION keep_name()
    """
    with engine.begin() as connection:
        connection.exec_driver_sql(refuse)
    before = whole_database(engine)
    with pytest.raises(IntegrityMismatch, match="settings"):
        publish(engine, billing)
    assert whole_database(engine) == before


def test_a_plug_in_of_the_copy_that_is_edited_meanwhile_publishes_nothing_until_the_next_attempt(
    engine: Engine, billing: Toolset
) -> None:
    """Nothing holds its rows; the copy's content is read more than once."""
    create_flags_table(engine)
    flags = with_plug_ins(Flags())
    set_flag(engine, billing.id, "beta", "1")
    copy = stage(engine, billing, registry=flags)
    set_flag(engine, copy.id, "beta", "2")
    looks = iter(range(100))

    def edit_late() -> None:
        if next(looks) == LATE:
            set_flag(engine, copy.id, "beta", "3")

    with pytest.raises(VersionConflict):
        publish(engine, billing, registry=with_plug_ins(Interruption(edit_late), Flags()))
    assert current_number(engine, billing) == 1
    publish(engine, billing, registry=flags)
    assert flags_of(engine, billing.id) == {"beta": "3"}


# After it was planned, before it is restored: how often content is asked for until then.
LATE = 3
