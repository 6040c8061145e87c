"""Retention: old releases go, with what only they held; history, and all that anything names, stays."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from release_worker.errors import ReleaseNotFound, ToolsetNotFound
from tests.support.billing import EDITS, a_full_toolset, edit_everything
from tests.support.ledger import ask, mailbox
from tests.support.live_state import live_state
from tests.support.operations import release, roll_back
from tests.support.records import (
    RECORDS,
    captured_state,
    current_number,
    insert_older_release,
    insert_plug_in_state,
    number_of_rows,
    releases_of,
    tampering,
    whole_database,
)
from tests.support.retention import assert_no_garbage, assert_versions_chained, pin, prune
from tests.support.world import Toolset

RESTRICT_VIOLATION = "23001"


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def release_often(engine: Engine, toolset: Toolset, times: int) -> None:
    """So many releases, each of other content in every part."""
    for number in range(times):
        toolset.edit(settings={"number": number})
        toolset.project.configure("number", number)
        toolset.vary("tools:x", {"number": number})
        toolset.project.organization.vary("tools:x", {"number": number})
        release(engine, toolset)


def numbers(engine: Engine, toolset: Toolset) -> list[int]:
    return [row.release_number for row in releases_of(engine, toolset)]


def refusal(engine: Engine, statement: str, *, setting: str) -> str | None:
    """The SQLSTATE with which a statement is refused in a transaction that says so about itself."""
    with engine.connect() as connection:
        opened = text("SELECT set_config('release_worker.pruning', :value, true)")
        connection.execute(opened, {"value": setting})
        with pytest.raises(DBAPIError) as refused:
            connection.execute(text(statement))
    return getattr(refused.value.orig, "sqlstate", None)


def test_the_newest_releases_are_kept(engine: Engine, billing: Toolset) -> None:
    release_often(engine, billing, 6)
    done = prune(engine, billing, keep=2)
    assert (done.pruned, done.kept) == ((1, 2, 3, 4), 2)
    assert numbers(engine, billing) == [5, 6]
    assert_no_garbage(engine)
    assert {table: number_of_rows(engine, table) for table in ("toolset_versions", "source_states")} == {
        "toolset_versions": 2,
        "source_states": 2,
    }
    assert number_of_rows(engine, "variation_versions") == 4


def test_pruning_twice_is_pruning_once(engine: Engine, billing: Toolset) -> None:
    release_often(engine, billing, 3)
    prune(engine, billing, keep=1)
    before = whole_database(engine)
    assert prune(engine, billing, keep=1).pruned == ()
    assert whole_database(engine) == before


def test_what_is_current_pinned_or_named_by_a_rollback_or_a_waiting_request_is_kept(
    engine: Engine, billing: Toolset
) -> None:
    release_often(engine, billing, 9)
    pin(engine, billing, 2)
    roll_back(engine, billing, 4)  # from 9 to 4
    ask(engine, billing, "rollback", release_number=6)
    ask(engine, billing, expected_current_release=7)
    mailbox(engine).work_until_done(ask(engine, billing.project.toolset("other"), "rollback", release_number=1))
    release(engine, billing)  # 10
    roll_back(engine, billing, 8, components=["settings"])  # from 10 to 8, restored as 11
    release(engine, billing)  # 12
    assert current_number(engine, billing) == 12
    done = prune(engine, billing, keep=1)
    assert done.pruned == (1, 3, 5, 11)
    assert numbers(engine, billing) == [2, 4, 6, 7, 8, 9, 10, 12]


def test_a_release_that_a_done_request_named_goes_and_an_unpinned_one_too(engine: Engine, billing: Toolset) -> None:
    release_often(engine, billing, 4)
    mailbox(engine).work_until_done(ask(engine, billing, "rollback", release_number=1, dry_run=True))
    for pinned in (True, False):
        pin(engine, billing, 2, pinned=pinned)
        assert prune(engine, billing, keep=1).pruned == ((1, 3) if pinned else (2,))


def test_a_pin_keeps_other_labels_and_another_value_is_no_pin(engine: Engine, billing: Toolset) -> None:
    release(engine, billing, labels={"build": 7, "pinned": "yes"})
    release(engine, billing)
    pin(engine, billing, 2)
    assert [row.labels for row in releases_of(engine, billing)] == [{"build": 7, "pinned": "yes"}, {"pinned": True}]
    release(engine, billing)
    assert prune(engine, billing, keep=1).pruned == (1,)
    pin(engine, billing, 2, pinned=False)
    assert [row.labels for row in releases_of(engine, billing)] == [{}, {}]


def test_what_is_not_there_cannot_be_pinned_or_pruned(engine: Engine, billing: Toolset) -> None:
    with pytest.raises(ReleaseNotFound):
        pin(engine, billing, 1)
    assert (prune(engine, billing, keep=5).pruned, prune(engine, billing, keep=5).kept) == ((), 0)
    billing.delete()
    with pytest.raises(ToolsetNotFound):
        prune(engine, billing, keep=1)


def test_a_number_is_never_used_again(engine: Engine, billing: Toolset) -> None:
    release_often(engine, billing, 3)
    roll_back(engine, billing, 1)
    prune(engine, billing, keep=1)
    billing.edit(name="Other")
    made = release(engine, billing)
    assert (made.release_number, made.toolset_version) == (4, 4)
    assert numbers(engine, billing) == [1, 3, 4]


def test_the_number_of_a_variations_version_is_never_used_again(engine: Engine, billing: Toolset) -> None:
    billing.unvary("tools:function:billing:refund")
    versions = []
    for config in ({"a": 1}, {"a": 2}):
        billing.vary("tools:x", config)
        release(engine, billing)
        with engine.connect() as connection:
            own = text("SELECT max(version) FROM variation_versions WHERE toolset_id = :id")
            versions.append(connection.execute(own, {"id": billing.id}).scalar_one())
        billing.unvary("tools:x")
        release(engine, billing)
        prune(engine, billing, keep=1)
    assert versions == [1, 2]


def test_what_follows_a_pruned_release_follows_the_nearest_one_before_it(engine: Engine, billing: Toolset) -> None:
    release_often(engine, billing, 8)
    pin(engine, billing, 3)
    prune(engine, billing, keep=2)
    rows = releases_of(engine, billing)
    assert [row.release_number for row in rows] == [3, 7, 8]
    assert [row.predecessor_id for row in rows] == [None, rows[0].id, rows[1].id]
    assert_versions_chained(engine)


def test_content_that_another_toolset_still_refers_to_is_kept(engine: Engine, billing: Toolset) -> None:
    neighbour = billing.project.toolset("neighbour")
    release(engine, billing)
    release(engine, neighbour)
    shared = live_state(engine, neighbour)
    edit_everything(billing)
    release(engine, billing)
    prune(engine, billing, keep=1)
    assert numbers(engine, billing) == [2]
    assert captured_state(engine, neighbour, 1) == shared
    assert_no_garbage(engine)
    roll_back(engine, neighbour, 1, allow_shared_impact=True)
    assert live_state(engine, neighbour) == shared


def test_a_rollback_to_every_kept_release_is_as_exact_as_before(engine: Engine, billing: Toolset) -> None:
    states = {}
    for number, edit in enumerate(EDITS.values(), start=1):
        edit(billing)
        states[number] = live_state(engine, billing)
        release(engine, billing)
    for number in (2, 5):
        pin(engine, billing, number)
    assert prune(engine, billing, keep=1).pruned == (1, 3, 4, 6)
    for number in (2, 7, 5, 2):
        roll_back(engine, billing, number)
        assert live_state(engine, billing) == states[number]
        assert captured_state(engine, billing, number) == states[number]


@pytest.mark.parametrize("setting", ["", "off", "true", "1", "ON"])
def test_only_the_very_word_opens_the_guarded_path(engine: Engine, billing: Toolset, setting: str) -> None:
    release(engine, billing)
    for table in RECORDS[:4]:
        assert refusal(engine, f"DELETE FROM {table}", setting=setting) == RESTRICT_VIOLATION


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE toolset_versions SET digest = 'other'",
        "UPDATE toolset_versions SET predecessor_id = NULL, name = 'other'",
        "UPDATE source_states SET system_snapshot = '{}'",
        "UPDATE variation_versions SET config = '{}'",
        "UPDATE toolset_releases SET digest = 'other', predecessor_id = NULL",
        "UPDATE toolset_releases SET release_number = 99",
        "TRUNCATE source_states CASCADE",
    ],
)
def test_the_guarded_path_is_for_deleting_and_mending_and_nothing_else(
    engine: Engine, billing: Toolset, statement: str
) -> None:
    release(engine, billing)
    before = whole_database(engine)
    assert refusal(engine, statement, setting="on") == RESTRICT_VIOLATION
    assert whole_database(engine) == before


def test_the_guarded_path_is_closed_again_in_the_same_transaction(engine: Engine, billing: Toolset) -> None:
    """A prune leaves no door open for what comes after it on the connection."""
    release_often(engine, billing, 3)
    prune(engine, billing, keep=1)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_setting('release_worker.pruning', true)")).scalar() in (None, "")


def test_a_release_of_older_software_and_one_with_plug_in_state_can_be_pruned(engine: Engine, billing: Toolset) -> None:
    release(engine, billing)
    insert_plug_in_state(engine, billing, 1)
    insert_older_release(engine, billing, 2)
    with tampering(engine) as connection:
        connection.execute(text("UPDATE toolset_versions SET predecessor_id = NULL WHERE version = 2"))
    billing.edit(name="Other")
    release(engine, billing)
    assert prune(engine, billing, keep=1).pruned == (1, 2)
    assert [number_of_rows(engine, table) for table in RECORDS] == [1, 1, 2, 1, 0, 0, 0]
