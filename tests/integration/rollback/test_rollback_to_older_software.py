"""Releases that older software made: no source state, no positions, a digest of another form."""

import pytest
from sqlalchemy import Engine, text

from release_worker.errors import IntegrityMismatch, MissingDependencies
from tests.support.billing import (
    INVOICE,
    REFUND,
    SUMMARY,
    a_full_toolset,
    active_deployment,
    edit_everything,
    edit_settings,
)
from tests.support.live_state import LiveState, live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import (
    captured_state,
    current_number,
    insert_older_release,
    release_of,
    releases_of,
    tampering,
    whole_database,
)
from tests.support.world import Toolset

SOURCE = ("deployment", "system")


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Its release 1 is the older one; it is current."""
    billing = a_full_toolset(engine)
    insert_older_release(engine, billing, 1)
    billing.edit(current_release_id=release_of(engine, billing, 1).id)
    return billing


def expected_after(original: LiveState, edited: LiveState) -> LiveState:
    sources = {name: edited[name] for name in SOURCE}
    return {**original, **sources, "global_variations": {}, "toolset_variations": {}}


def test_deployment_and_system_are_left_as_they_are_with_a_warning(engine: Engine, billing: Toolset) -> None:
    original = live_state(engine, billing)
    edit_everything(billing)
    edited = live_state(engine, billing)
    deployment = active_deployment(billing)
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing) == expected_after(original, edited)
    assert active_deployment(billing) == deployment
    assert [warning for warning in done.warnings if all(name in warning for name in SOURCE)]
    assert done.components == ("tools", "resources", "settings", "global_variations", "toolset_variations")


def test_the_outcome_is_a_restored_release_that_holds_all_of_live_state(engine: Engine, billing: Toolset) -> None:
    edit_everything(billing)
    edited = live_state(engine, billing)
    done = roll_back(engine, billing, 1)
    assert [row.kind for row in releases_of(engine, billing)] == ["release", "backup", "restored"]
    assert captured_state(engine, billing, 2) == edited
    assert captured_state(engine, billing, 3) == live_state(engine, billing)
    assert done.current_release_number == current_number(engine, billing) == 3
    assert not drift(engine, billing).drifted
    roll_back(engine, billing, 2)
    assert live_state(engine, billing) == edited


def test_asking_for_deployment_or_system_alone_restores_nothing_and_warns(engine: Engine, billing: Toolset) -> None:
    release(engine, billing)
    edit_everything(billing)
    release(engine, billing)
    before = live_state(engine, billing)
    done = roll_back(engine, billing, 1, components=list(SOURCE))
    assert live_state(engine, billing) == before
    assert (done.components, done.changes) == ((), {})
    assert [warning for warning in done.warnings if all(name in warning for name in SOURCE)]


@pytest.mark.parametrize("on_missing", ["fail", "recreate"])
def test_tools_that_nothing_provides_are_missing_and_cannot_be_recreated(
    engine: Engine, billing: Toolset, on_missing: str
) -> None:
    active_deployment(billing).remove_tool(INVOICE)
    before = whole_database(engine)
    with pytest.raises(MissingDependencies) as missing:
        roll_back(engine, billing, 1, on_missing=on_missing)
    assert missing.value.details == {"tools": [INVOICE], "resources": []}
    assert whole_database(engine) == before


def test_tools_that_nothing_provides_can_be_skipped(engine: Engine, billing: Toolset) -> None:
    active_deployment(billing).remove_tool(INVOICE)
    done = roll_back(engine, billing, 1, on_missing="skip")
    assert live_state(engine, billing)["tools"] == {REFUND: 1, SUMMARY: 2}
    assert [warning for warning in done.warnings if INVOICE in warning]


def test_without_positions_tools_are_numbered_in_their_order(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    for urn, position in ((SUMMARY, 3), (INVOICE, 7), (REFUND, 9)):
        billing.move_tool(urn, position)
    insert_older_release(engine, billing, 1)
    roll_back(engine, billing, 1)
    assert live_state(engine, billing)["tools"] == {SUMMARY: 0, INVOICE: 1, REFUND: 2}


def test_a_digest_of_another_form_is_a_warning_but_its_parts_must_be_whole(engine: Engine, billing: Toolset) -> None:
    edit_settings(billing)
    assert [warning for warning in roll_back(engine, billing, 1).warnings if "digest" in warning]
    with tampering(engine) as connection:
        connection.execute(text("UPDATE toolset_versions SET name = 'tampered' WHERE version = 1"))
    before = whole_database(engine)
    with pytest.raises(IntegrityMismatch):
        roll_back(engine, billing, 1)
    assert whole_database(engine) == before


def test_repeating_the_rollback_changes_nothing_more(engine: Engine, billing: Toolset) -> None:
    edit_everything(billing)
    roll_back(engine, billing, 1)
    before = whole_database(engine)
    assert roll_back(engine, billing, 1).noop
    assert whole_database(engine) == before


def test_only_what_such_a_release_captured_counts_as_drift(engine: Engine, billing: Toolset) -> None:
    billing.unvary(REFUND)
    billing.project.organization.unvary(INVOICE)
    assert not drift(engine, billing).drifted
    billing.project.configure("model", "other")
    assert not drift(engine, billing).drifted
    edit_settings(billing)
    assert set(drift(engine, billing).changes) == {"settings"}


def test_the_next_release_after_such_a_one_captures_everything(engine: Engine, billing: Toolset) -> None:
    made = release(engine, billing, only_if_changed=True)
    assert (made.created, made.release_number) == (True, 2)
    assert captured_state(engine, billing, 2) == live_state(engine, billing)
