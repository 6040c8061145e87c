"""What differs between two states, told so that applying it to one gives the other."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_worker.domain import canonical_json
from release_worker.domain.changes import TOLD_KEYS, ComponentChanges, ItemDifference, describe, describe_added
from tests.support.exact_json import exact
from tests.support.strategies import SCALARS

Content = dict[str, Any]

# Few keys and few values, so that sides often have the same key, and items are often nearly equal.
NEARLY_EQUAL = st.sampled_from(
    [0, 1, True, False, None, "1", Decimal("1.0"), [], [1], [True], {}, {"a": 1}, {"a": True}]
)
ITEMS = NEARLY_EQUAL | SCALARS | st.dictionaries(st.sampled_from("abé"), NEARLY_EQUAL | SCALARS, max_size=3)
CONTENTS = st.dictionaries(st.sampled_from(["", "a", "b", "tools/x", "é", "Z"]), ITEMS, max_size=4)


def differences(before: Content, after: Content) -> list[ItemDifference]:
    """As the database reports them: items that are not equal as `jsonb`, by key."""
    return [
        ItemDifference(key, before.get(key), after.get(key), key in before, key in after)
        for key in sorted({*before, *after})
        if (key in before) != (key in after) or exact(before[key]) != exact(after[key])
    ]


def applied(changes: ComponentChanges, before: Content, after: Content) -> Content:
    """`before`, changed; an added item's content is not told, and taken from `after`."""
    result = {key: item for key, item in before.items() if key not in changes.removed}
    result |= {key: after[key] for key in changes.added}
    for changed in changes.changed:
        key = changed["key"]
        result[key] = {**result[key], **new_fields(changed)} if "fields" in changed else changed["new"]
        for name, sides in changed.get("fields", {}).items():
            if "new" not in sides:
                del result[key][name]
    return result


def new_fields(changed: dict[str, Any]) -> Content:
    return {name: sides["new"] for name, sides in changed["fields"].items() if "new" in sides}


@given(CONTENTS, CONTENTS)
def test_applying_the_changes_to_before_gives_after(before: Content, after: Content) -> None:
    changes = describe(differences(before, after))
    assert exact(applied(changes, before, after)) == exact(after)


@given(CONTENTS, CONTENTS)
def test_a_changed_item_tells_its_old_values(before: Content, after: Content) -> None:
    for changed in describe(differences(before, after)).changed:
        if "fields" not in changed:
            assert exact(changed["old"]) == exact(before[changed["key"]])
            continue
        assert changed["fields"]
        for name, sides in changed["fields"].items():
            assert ("old" in sides) == (name in before[changed["key"]])
            assert ("new" in sides) == (name in after[changed["key"]])
            assert "old" not in sides or exact(sides["old"]) == exact(before[changed["key"]][name])
            assert len(sides) == 1 or exact(sides["old"]) != exact(sides["new"])


@given(CONTENTS, CONTENTS)
def test_changes_are_ordered_by_key_and_name_each_once(before: Content, after: Content) -> None:
    changes = describe(differences(before, after))
    for keys in (changes.added, changes.removed, tuple(one["key"] for one in changes.changed)):
        assert list(keys) == sorted(keys)
    assert sorted(changes.keys) == sorted(one.key for one in differences(before, after))
    assert set(changes.added) == after.keys() - before.keys()
    assert set(changes.removed) == before.keys() - after.keys()


@given(CONTENTS)
def test_what_is_equal_has_no_changes(content: Content) -> None:
    assert not describe(differences(content, content))


@given(CONTENTS, CONTENTS)
def test_changes_come_back_from_the_ledger_as_they_were(before: Content, after: Content) -> None:
    changes = describe(differences(before, after))
    stored = canonical_json.loads(canonical_json.dumps(changes.model_dump()))
    assert exact(ComponentChanges.model_validate(stored).model_dump()) == exact(changes.model_dump())


@pytest.mark.parametrize(("old", "new"), [(1, True), ([1], [True]), ({"a": 0}, {"a": False}), (None, {}), ("1", 1)])
def test_values_that_python_alone_takes_for_equal_are_told_apart(old: Any, new: Any) -> None:
    [changed] = describe([ItemDifference("key", {"field": old}, {"field": new})]).changed
    assert exact(changed["fields"]["field"]) == exact({"old": old, "new": new})


def test_values_of_any_depth_are_compared() -> None:
    def nested(leaf: Any) -> Any:
        for _ in range(5_000):
            leaf = [leaf, {}]
        return leaf

    old, new = {"deep": nested(1), "same": nested("1")}, {"deep": nested(True), "same": nested("1")}
    [changed] = describe([ItemDifference("key", old, new)]).changed
    assert list(changed["fields"]) == ["deep"]


def test_items_that_are_not_both_objects_are_told_whole() -> None:
    [changed] = describe([ItemDifference("key", [1, 2], {"a": 1})]).changed
    assert changed == {"key": "key", "old": [1, 2], "new": {"a": 1}}


def test_changes_are_true_only_where_something_changed() -> None:
    assert not ComponentChanges()
    assert ComponentChanges(added=("a",))
    assert ComponentChanges(removed=("a",))
    assert ComponentChanges(changed=({"key": "a", "old": 1, "new": 2},))


def test_what_does_not_come_is_counted() -> None:
    changes = describe([ItemDifference("a", 1, 2)], {"added": 2, "changed": 4})
    assert changes.omitted == {"added": 2, "changed": 4}
    assert ComponentChanges.model_validate(changes.model_dump()) == changes


def test_of_many_that_are_added_so_many_are_told() -> None:
    changes = describe_added(f"{key:05}" for key in range(TOLD_KEYS + 8))
    assert changes.added == tuple(f"{key:05}" for key in range(TOLD_KEYS))
    assert changes.omitted == {"added": 8}
    assert describe_added(f"{key:05}" for key in range(TOLD_KEYS)).omitted is None


def test_nothing_is_said_of_omissions_where_there_are_none() -> None:
    assert describe([ItemDifference("a", None, 1, in_old=False)]).model_dump() == {
        "added": ("a",),
        "removed": (),
        "changed": (),
    }


@pytest.mark.parametrize("omitted", [None, {"added": 3, "changed": 1}])
def test_changes_are_stored_as_they_are_dumped(omitted: dict[str, int] | None) -> None:
    changed = ({"key": "b", "fields": {"position": {"old": 1, "new": 2}}},)
    changes = ComponentChanges(added=("a",), removed=("c",), changed=changed, omitted=omitted)
    stored = {"added": ("a",), "removed": ("c",), "changed": changed, **({"omitted": omitted} if omitted else {})}
    assert changes.as_json() == stored == changes.model_dump()
