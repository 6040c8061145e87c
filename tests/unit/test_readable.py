"""Lines for people: the important first, bounded, without what a caller may have hidden in them, whatever was sent."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_worker.broker.readable import LONGEST, arguments_line, error_line, result_line, toolset_line
from release_worker.broker.routing import TASKS
from release_worker.domain.text import CONTROL
from release_worker.errors import InvalidRequest, StaleState

PATH = "acme/payments/billing"
ID = "0198aa00-0000-7000-8000-000000000000"
SECRET = "hunter2"

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("kind", "positional", "keywords", "line"),
    [
        (
            "rollback",
            (),
            {"actor": "oncall", "reason": "bad prompt", "release_number": 41, "toolset": PATH, "on_missing": "fail"},
            f'{PATH}, release_number=41, actor=oncall, reason="bad prompt"',
        ),
        (
            "rollback",
            (PATH, 41, "oncall"),
            {"components": ["tools", "settings"], "dry_run": True, "allow_bad": None},
            f"{PATH}, release_number=41, actor=oncall, components=[tools, settings], dry_run=true",
        ),
        (
            "create_release",
            (),
            {"toolset": PATH, "actor": "ci", "labels": {"team": SECRET, "api_key": {"deep": SECRET}}},
            f"{PATH}, actor=ci, labels={{api_key, team}}",
        ),
        ("mark", (PATH, 3, "bad", "ops"), {}, f"{PATH}, release_number=3, mark=bad, actor=ops"),
        ("import_bundle", (), {"bundle": SECRET, "toolset": PATH}, f"{PATH}, bundle=…"),
        ("create_release", (), {"toolset": PATH, "password": SECRET}, f"{PATH}, password=…"),
        ("no_kind", (PATH,), {"secret": SECRET}, "secret=…"),
    ],
)
def test_arguments_are_named_and_those_that_matter_come_first(
    kind: str, positional: tuple[Any, ...], keywords: Mapping[str, Any], line: str
) -> None:
    assert arguments_line(f"release_worker.{kind}", positional, keywords) == line


def test_a_toolset_that_is_named_by_its_id_has_its_path_beside_it_if_it_is_known() -> None:
    task = "release_worker.pin"
    assert arguments_line(task, (), {"toolset": ID}, PATH) == f"{PATH} ({ID})"
    assert arguments_line(task, (), {"toolset": ID}, 5) == ID
    assert arguments_line(task, (), {"toolset": PATH}, PATH) == PATH
    assert toolset_line("pin", (ID,), {}, PATH) == f"{PATH} ({ID})"


@given(st.sampled_from([*TASKS.values(), "nothing"]), anything, anything, anything)
def test_whatever_a_message_holds_its_line_is_short_and_plain(
    task: str, positional: object, keywords: object, path: object
) -> None:
    line = arguments_line(task, positional, keywords, path)
    assert len(line) <= LONGEST
    assert not CONTROL.search(line)


@given(st.dictionaries(st.sampled_from(["labels", "token", "components", "x"]), anything))
def test_no_value_below_a_key_of_the_callers_own_is_shown(keywords: dict[str, Any]) -> None:
    hidden = {"labels": {"password": SECRET, "a": [{"b": SECRET}]}, "token": SECRET}
    assert SECRET not in arguments_line("release_worker.publish", (), {**keywords, **hidden})


def test_a_result_begins_with_its_numbers_and_counts_what_changed() -> None:
    result = {
        "toolset_id": ID,
        "digest": "c0c2ed22c6b4" + "0" * 52,
        "to_release_number": 1,
        "backup_release_number": None,
        "changes": {
            "tools": {"added": ["a"], "removed": ["b", "c"], "changed": [], "omitted": {"added": 3}},
            "settings": {"added": [], "removed": [], "changed": [{"key": "name", "old": SECRET, "new": "x"}]},
            "system": {},
        },
        "noop": False,
        "warnings": [],
        "refused": {"type": "StaleState", "message": "it moved", "details": {"x": SECRET}},
        "affected": [{"path": PATH}],
    }
    assert result_line("rollback", PATH, result) == (
        f"to_release_number=1, {PATH}, rollback, affected=[1], changes={{tools: +4 -2, settings: ~1}}, "
        f'noop=false, refused="StaleState: it moved", digest=c0c2ed22c6b4, toolset_id={ID}'
    )


def test_an_error_is_its_class_and_its_sentence_on_one_line() -> None:
    assert error_line(StaleState(expected_current_release=3, current_release_number=4)) == (
        "StaleState: expected release 3 to be current, but it is 4"
    )
    assert len(error_line(InvalidRequest("x\n" * 5000))) < 4 * LONGEST
    assert "\n" not in error_line(InvalidRequest("a\nb"))
