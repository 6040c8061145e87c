"""What a refused request is told, word for word: each sentence is all that its sender has to go by."""

from collections.abc import Sequence
from typing import Any

import pytest

from release_worker.domain.canonical_json import DEEPEST
from release_worker.domain.requests.fields import LARGEST_LABELS
from release_worker.domain.requests.kinds import parse_request, validate_request
from release_worker.domain.requests.rollback import check_component_names
from release_worker.domain.text import printable
from release_worker.errors import InvalidRequest
from tests.unit.test_messages import CREATE, ROLLBACK, nested_labels

Problems = Sequence[dict[str, str]]


def refused(kind: str, fields: dict[str, Any]) -> tuple[str, Problems]:
    """The message, and the problems."""
    with pytest.raises(InvalidRequest) as invalid:
        validate_request(kind, fields)
    return invalid.value.message, invalid.value.details["problems"]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("actor", "a\tb", "must not contain control characters"),
        ("actor", "a\x9f", "must not contain control characters"),
        ("toolset", "a\nb", "must not contain control characters"),
        ("toolset", "billing", "must be a UUID or organization/project/toolset"),
        ("notes", "a\x0b", "must not contain control characters other than tab and line breaks"),
        ("labels", {"a": "\x00"}, "must not contain the character U+0000"),
        ("labels", {"a": "x" * LARGEST_LABELS}, f"must be at most {LARGEST_LABELS} bytes of JSON"),
        ("labels", nested_labels(DEEPEST + 1), f"must not be nested more than {DEEPEST} levels deep"),
    ],
)
def test_a_value_that_is_refused_is_told_why(field: str, value: Any, problem: str) -> None:
    message, problems = refused("create_release", {**CREATE, field: value})
    assert problems == [{"field": field, "problem": problem}]
    assert message == f"the request is not valid: {field}: {problem}"


def test_labels_of_exactly_the_largest_size_are_taken() -> None:
    labels = {"a": "x" * (LARGEST_LABELS - len('{"a": ""}'))}
    assert validate_request("create_release", {**CREATE, "labels": labels}).payload()["labels"] == labels
    accented = {"a": "é" * ((LARGEST_LABELS - len('{"a": ""}')) // 2)}
    assert validate_request("create_release", {**CREATE, "labels": accented}).payload()["labels"] == accented


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_labels_are_no_numbers_that_json_lacks(number: float) -> None:
    _, problems = refused("create_release", {**CREATE, "labels": {"a": number}})
    assert [problem["field"].partition(".")[0] for problem in problems] == ["labels"]


def test_a_component_that_is_named_twice_is_told_so() -> None:
    _, problems = refused("rollback", {**ROLLBACK, "components": ["tools", "settings", "tools"]})
    assert problems == [{"field": "components", "problem": "must not name a component twice"}]


def test_the_place_in_a_list_is_told() -> None:
    _, problems = refused("rollback", {**ROLLBACK, "components": ["tools", "a\x00"]})
    assert problems == [{"field": "components.1", "problem": "must not contain control characters"}]


def test_the_first_five_problems_are_in_the_message_and_the_first_fifty_in_the_details() -> None:
    message, problems = refused("create_release", {**CREATE, **{f"unknown_{number:02}": 1 for number in range(60)}})
    told = [f"unknown_{number:02}: Extra inputs are not permitted" for number in range(5)]
    assert message == f"the request is not valid: {'; '.join(told)}"
    assert [problem["field"] for problem in problems] == [f"unknown_{number:02}" for number in range(50)]


def test_an_unknown_kind_is_told_and_shortened() -> None:
    message, problems = refused("x" * 200 + "\x00", {})
    assert message == f"there is no kind of request '{'x' * 100}'"
    assert problems == [{"field": "kind", "problem": "unknown"}]


def test_what_cannot_be_read_is_told_as_such() -> None:
    message, problems = refused("create_release", {**CREATE, "\ud800": 1})
    assert [problem["field"] for problem in problems] == ["request"]
    assert message == f"the request is not valid: request: {problems[0]['problem']}"
    endless: dict[str, Any] = {}
    endless["a"] = endless
    _, problems = refused("create_release", {**CREATE, "labels": endless})
    assert [problem["field"].partition(".")[0] for problem in problems] == ["labels"]


def test_a_call_with_too_much_or_the_same_twice_is_told() -> None:
    with pytest.raises(InvalidRequest) as invalid:
        parse_request("check_drift", ["a/b/c", "x"], {})
    assert invalid.value.details["problems"] == [{"field": "arguments", "problem": "at most 1 positional, got 2"}]
    with pytest.raises(InvalidRequest) as invalid:
        parse_request("pin", ["a/b/c", 1, "x"], {"toolset": "a/b/c", "actor": "y", "pinned": True})
    assert invalid.value.details["problems"] == [
        {"field": "actor", "problem": "given twice"},
        {"field": "toolset", "problem": "given twice"},
    ]


def test_components_that_no_one_provides_are_told_with_those_that_there_are() -> None:
    with pytest.raises(InvalidRequest) as invalid:
        check_component_names(["tools", "flags", "switches"], ["tools", "settings"])
    assert invalid.value.message == "unknown components: flags, switches; known: tools, settings"
    assert invalid.value.details["problems"] == [
        {"field": "components", "problem": "unknown component flags"},
        {"field": "components", "problem": "unknown component switches"},
    ]
    check_component_names(["tools"], ["tools"])
    check_component_names(None, [])


def test_long_values_are_shortened_where_they_are_told() -> None:
    name = "n" * 300
    _, [problem] = refused("create_release", {**CREATE, name: 1})
    assert problem["field"] == "n" * 200
    with pytest.raises(InvalidRequest) as invalid:
        check_component_names(["n" * 600], [])
    assert invalid.value.details["problems"][0]["problem"] == "unknown component " + "n" * (
        500 - len("unknown component ")
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\x0ab"),
        ("\x00\x1b\x7f\x9f", "\\x00\\x1b\\x7f\\x9f"),
        ("a\ud800b", "a\\ud800b"),
        ("é 😀", "é 😀"),
        ("x" * 11, "x" * 10),
    ],
)
def test_what_no_terminal_could_take_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert printable(text, 10) == shown
