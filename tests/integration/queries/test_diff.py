"""Differences of two releases, or of a release and live state."""

from typing import Any

import pytest
from sqlalchemy import Engine

from release_worker.domain import canonical_json
from release_worker.domain.requests.diff import DiffResult
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.errors import InvalidRequest, ReleaseNotFound
from release_worker.operations.execute import Addressed, carry_out, storable
from release_worker.state.registry import built_in_components
from tests.support.billing import COMPONENTS, EDITS, INVOICE, LEDGER, REFUND, a_full_toolset, edit_everything
from tests.support.operations import drift, release, released_twice
from tests.support.records import insert_older_release, whole_database
from tests.support.world import Toolset


def diff(engine: Engine, toolset: Toolset, number: int, to: int | str = "live", **fields: Any) -> DiffResult:
    request = validate_request("diff", {"toolset": toolset.path, "release_number": number, "to": to, **fields})
    result = carry_out(engine, Addressed(request, toolset.id), built_in_components())
    assert isinstance(result, DiffResult)
    return result


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return released_twice(engine)


def test_a_release_and_live_state_differ_as_a_check_of_drift_says(engine: Engine, billing: Toolset) -> None:
    billing.edit(description="live")
    billing.move_tool(INVOICE, 1)
    assert diff(engine, billing, 2).changes == drift(engine, billing).changes


def test_two_releases_differ_as_the_first_did_from_live_state(engine: Engine, billing: Toolset) -> None:
    both = diff(engine, billing, 1, 2)
    assert set(both.changes) == set(COMPONENTS)
    assert both.changes == diff(engine, billing, 1).changes
    assert (both.from_release, both.to, both.same, both.not_compared) == (1, 2, False, ())


def test_the_other_way_round_what_was_added_is_removed(engine: Engine, billing: Toolset) -> None:
    there, back = diff(engine, billing, 1, 2).changes, diff(engine, billing, 2, 1).changes
    for name in COMPONENTS:
        assert (there[name].added, there[name].removed) == (back[name].removed, back[name].added)
        assert there[name].moved == back[name].moved


def test_a_release_is_the_same_as_itself_and_as_one_with_the_same_content(engine: Engine, billing: Toolset) -> None:
    release(engine, billing)
    for other in (2, 3, "live"):
        found = diff(engine, billing, 2, other)
        assert (found.same, found.changes) == (True, {})


def test_what_only_changed_its_place_is_named_as_moved_and_stays_among_what_changed(
    engine: Engine, billing: Toolset
) -> None:
    changes = diff(engine, billing, 1, 2).changes
    assert (changes["tools"].moved, changes["resources"].moved) == ((INVOICE,), (LEDGER,))
    for name in ("tools", "resources"):
        assert {item["key"] for item in changes[name].changed} == set(changes[name].moved)
    assert all(not changes[name].moved for name in COMPONENTS if name not in ("tools", "resources"))


def test_a_tool_that_is_something_else_under_its_urn_is_told_field_by_field(engine: Engine, billing: Toolset) -> None:
    found = diff(engine, billing, 1, 2, components=["deployment"], key=f"tools/{INVOICE}")
    [item] = found.changes["deployment"].changed
    assert item["fields"]["definition"] == {
        "old": {"method": "POST", "retries": 3},
        "new": {"method": "POST", "retries": 4},
    }


@pytest.mark.parametrize("component", COMPONENTS)
def test_only_chosen_components_are_compared(engine: Engine, billing: Toolset, component: str) -> None:
    assert set(diff(engine, billing, 1, 2, components=[component]).changes) == {component}
    other = next(name for name in COMPONENTS if name != component)
    release(engine, billing)
    EDITS[component](a_full_toolset(engine, organization="rival"))
    assert diff(engine, billing, 2, 3, components=[other]).same


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (REFUND, {"tools", "global_variations", "toolset_variations"}),
        ("config/*", {"system"}),
        ("*", set(COMPONENTS)),
        ("config/%", set()),
        ("config/_odel", set()),
        ("Description", set()),
    ],
)
def test_a_key_chooses_items_and_a_star_stands_for_any_text(
    engine: Engine, billing: Toolset, key: str, found: set[str]
) -> None:
    result = diff(engine, billing, 1, 2, key=key)
    assert set(result.changes) == found
    assert result.same == (not found)
    assert "\\" not in canonical_json.dumps([changes.as_json() for changes in result.changes.values()])


def test_what_a_side_did_not_capture_is_not_compared(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    insert_older_release(engine, billing, 1)
    edit_everything(billing)
    release(engine, billing)
    for to in (2, "live"):
        found = diff(engine, billing, 1, to)
        assert found.not_compared == ("deployment", "system")
        assert not set(found.changes) & {"deployment", "system"}


def test_what_is_not_there_is_refused(engine: Engine, billing: Toolset) -> None:
    for numbers in ((9, "live"), (1, 9)):
        with pytest.raises(ReleaseNotFound):
            diff(engine, billing, *numbers)
    with pytest.raises(InvalidRequest, match="unknown components: nonsense"):
        diff(engine, billing, 1, components=["nonsense"])


def test_a_difference_comes_back_from_the_ledger_as_it_was_with_the_names_of_the_contract(
    engine: Engine, billing: Toolset
) -> None:
    result = diff(engine, billing, 1, 2)
    stored = canonical_json.loads(canonical_json.dumps(storable(result)))
    assert set(stored) >= {"toolset_id", "from", "to", "same", "changes"}
    assert KINDS["diff"].result.model_validate(stored) == result


def test_comparing_changes_nothing(engine: Engine, billing: Toolset) -> None:
    before = whole_database(engine)
    diff(engine, billing, 1)
    diff(engine, billing, 1, 2)
    assert whole_database(engine) == before
