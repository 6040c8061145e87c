"""No secret is shown, and that it has changed is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_worker.cli.changes import change_lines
from release_worker.domain import canonical_json
from release_worker.domain.changes import ComponentChanges, ItemDifference, describe
from release_worker.domain.secrets import DEFAULT_SECRET_KEYS, HIDDEN, HIDDEN_SAME, SecretKeys, hide
from release_worker.settings import given_settings

SECRETS = st.sampled_from(["hunter2", "hunter3"]) | st.just({"inner": ["hunter2"]}) | st.just(["hunter3"])
VALUES = st.recursive(
    st.sampled_from([1, True, None, "text"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.fixed_dictionaries({}, optional={"a": inner, "b": inner, "api_key": SECRETS, "Password": SECRETS})
    ),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_no_secret_is_told_however_deep_it_lies(old: Any, new: Any) -> None:
    told = describe([ItemDifference("a", {"field": old}, {"field": new}), ItemDifference("b", old, new)])
    assert "hunter" not in canonical_json.dumps(told.as_json())


@given(VALUES, VALUES)
def test_what_is_no_secret_is_told_as_it_is(old: Any, new: Any) -> None:
    assert hide(old, new, SecretKeys(())) == (old, new)
    before, after = hide(old, new, DEFAULT_SECRET_KEYS)
    assert without_secrets(before) == without_secrets(old)
    assert without_secrets(after) == without_secrets(new)


def without_secrets(value: Any) -> Any:
    match value:
        case dict():
            return {key: without_secrets(one) for key, one in value.items() if key not in DEFAULT_SECRET_KEYS}
        case list():
            return [without_secrets(one) for one in value]
        case _:
            return value


@given(VALUES, VALUES)
def test_hiding_changes_neither_value(old: Any, new: Any) -> None:
    before = canonical_json.dumps([old, new])
    hide(old, new, DEFAULT_SECRET_KEYS)
    assert canonical_json.dumps([old, new]) == before


def test_a_field_that_is_a_secret_is_told_as_changed() -> None:
    [changed] = describe([ItemDifference("a", {"token": "x", "b": 1}, {"token": "y", "b": 1})]).changed
    assert changed == {"key": "a", "fields": {"token": {"old": HIDDEN, "new": HIDDEN}}}


def test_a_secret_that_was_added_or_removed_is_told_as_that() -> None:
    [changed] = describe([ItemDifference("a", {"old_token": "x"}, {"new_token": "y"})]).changed
    assert changed["fields"] == {"new_token": {"new": HIDDEN}, "old_token": {"old": HIDDEN}}


def test_beside_another_change_a_secret_says_whether_it_changed() -> None:
    old = {"auth": {"password": "x", "api_key": "k", "user": "a"}}
    new = {"auth": {"password": "y", "api_key": "k", "user": "b"}}
    [changed] = describe([ItemDifference("settings", old, new)]).changed
    assert changed["fields"]["auth"] == {
        "old": {"password": HIDDEN, "api_key": HIDDEN_SAME, "user": "a"},
        "new": {"password": HIDDEN, "api_key": HIDDEN_SAME, "user": "b"},
    }
    lines = list(change_lines({"settings": ComponentChanges(changed=(changed,))}))
    assert [line.strip() for line in lines[2:]] == [f'auth.password: "{HIDDEN}" → "{HIDDEN}"', 'auth.user: "a" → "b"']


@pytest.mark.parametrize(
    ("key", "component", "secret"),
    [
        ("config/api_key", "system", True),
        ("config/API_KEY", "system", True),
        ("config/model", "system", False),
        ("prompts/password_reset", "system", False),
        ("tools/tools:http:github:secret_scanning", "deployment", False),
        ("tools:http:github:list_keys", "toolset_variations", False),
        ("production/stripe_secret", "flags", True),
        ("production/limits", "flags", False),
    ],
)
def test_an_item_is_hidden_whole_if_its_key_names_a_secret_value(key: str, component: str, secret: bool) -> None:
    [changed] = describe([ItemDifference(key, {"a": "x"}, {"a": "y"})], component=component).changed
    hidden = {"key": key, "old": HIDDEN, "new": HIDDEN}
    assert changed == (hidden if secret else {"key": key, "fields": {"a": {"old": "x", "new": "y"}}})


def test_values_of_any_depth_are_looked_through() -> None:
    deep: Any = {"token": "hunter2"}
    for _ in range(5_000):
        deep = [deep]
    shown, _ = hide(deep, None, DEFAULT_SECRET_KEYS)
    assert "hunter2" not in canonical_json.dumps(shown)


def test_the_patterns_are_a_setting() -> None:
    assert given_settings().secrets == DEFAULT_SECRET_KEYS
    chosen = given_settings(secret_keys=" *pin*, internal_? ,").secrets
    assert chosen == SecretKeys(("*pin*", "internal_?"))
    assert "PIN_code" in chosen
    assert "internal_1" in chosen
    assert "api_key" not in chosen
