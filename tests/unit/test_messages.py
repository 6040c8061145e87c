"""A request is checked once, completely: what is wrong is an InvalidRequest that lists it, never anything else."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_worker.domain import canonical_json
from release_worker.domain.canonical_json import DEEPEST
from release_worker.domain.requests.create_release import CreateReleaseResult
from release_worker.domain.requests.fields import LARGEST_BIGINT, LARGEST_LABELS, LONGEST_TEXT
from release_worker.domain.requests.kinds import KINDS, parse_request, validate_request
from release_worker.domain.requests.request import Request, Result
from release_worker.domain.requests.rollback import RollbackResult, check_component_names
from release_worker.errors import InvalidRequest
from tests.support.exact_json import exact
from tests.support.strategies import JSON_VALUES

TOOLSET = "acme/payments/billing"
CREATE: dict[str, Any] = {"toolset": TOOLSET, "actor": "ci"}
ROLLBACK: dict[str, Any] = {**CREATE, "release_number": 3}
VALID = {"create_release": CREATE, "rollback": ROLLBACK, "check_drift": {"toolset": TOOLSET}}
VALID |= {"verify": {"toolset": TOOLSET}, "status": {"toolset": TOOLSET}}
VALID |= {"diff": {"toolset": TOOLSET, "release_number": 3}}

# Text as it may arrive from anywhere: with lone surrogates, NUL and control characters.
WILD_TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(
    [
        "\x00",
        "\ud800",
        "\x1b[31m",
        "\n",
        "",
        "a" * 300,
        TOOLSET,
        str(uuid4()),
        "tools",
        "skip",
        "a/b/\x00",
        "a/b/\udfff",
    ]
)
WILD: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**66)
    | st.floats()
    | WILD_TEXT
    | st.sampled_from([b"bytes", Decimal("1.5"), UUID(int=7), datetime(2026, 1, 1, tzinfo=UTC), 10**4000, object()]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(WILD_TEXT | st.integers(), inner, max_size=3) | st.tuples(inner)
    ),
    max_leaves=6,
)
KIND = st.sampled_from(sorted(KINDS))
NAMES = st.sampled_from(sorted({name for request in KINDS.values() for name in request.model_fields}))


def rejected(kind: str, fields: dict[str, Any]) -> dict[str, str]:
    """The problems by field of a request that must be refused."""
    with pytest.raises(InvalidRequest) as invalid:
        validate_request(kind, fields)
    assert_can_be_stored(invalid.value.as_record())
    return {problem["field"]: problem["problem"] for problem in invalid.value.details["problems"]}


def assert_can_be_stored(value: Any) -> None:
    """As `jsonb`, and read on a terminal."""
    text = canonical_json.dumps(value)
    text.encode()
    assert len(text) < 200_000
    for one in strings_in(value):
        assert "\x00" not in one
        assert "\x1b" not in one


def strings_in(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [one for pair in value.items() for part in pair for one in strings_in(part)]
        case list() | tuple():
            return [one for item in value for one in strings_in(item)]
        case _:
            return []


@given(KIND, st.dictionaries(NAMES | WILD_TEXT, WILD, max_size=6))
def test_any_input_is_a_request_or_an_invalid_request(kind: str, fields: dict[str, Any]) -> None:
    assert_taken_or_refused(kind, lambda: validate_request(kind, fields))


@given(KIND, NAMES, WILD)
def test_any_value_of_one_field_is_taken_or_refused(kind: str, name: str, value: Any) -> None:
    assert_taken_or_refused(kind, lambda: validate_request(kind, {**VALID.get(kind, CREATE), name: value}))


@given(KIND, st.lists(WILD, max_size=12), st.dictionaries(NAMES | WILD_TEXT, WILD, max_size=4))
def test_any_call_is_a_request_or_an_invalid_request(
    kind: str, positional: list[Any], keywords: dict[str, Any]
) -> None:
    assert_taken_or_refused(kind, lambda: parse_request(kind, positional, keywords))


def assert_taken_or_refused(kind: str, make: Callable[[], Request]) -> None:
    """Whatever else is raised fails the test."""
    outcome = request_or_refusal(make)
    if isinstance(outcome, InvalidRequest):
        assert outcome.details["problems"]
        assert_can_be_stored(outcome.as_record())
    else:
        assert_can_go_through_the_ledger(kind, outcome)


def request_or_refusal(make: Callable[[], Request]) -> Request | InvalidRequest:
    try:
        return make()
    except InvalidRequest as invalid:
        return invalid


def assert_can_go_through_the_ledger(kind: str, request: Request) -> None:
    payload = request.payload()
    assert_can_be_stored(payload)
    text = canonical_json.dumps(payload)
    again = validate_request(kind, canonical_json.as_plain(canonical_json.loads(text)))
    assert canonical_json.dumps(again.payload()) == text


@pytest.mark.parametrize("kind", VALID)
def test_the_least_that_is_needed_is_enough(kind: str) -> None:
    assert validate_request(kind, VALID[kind]).toolset == TOOLSET


@pytest.mark.parametrize(
    ("reference", "normal"),
    [
        ("acme/payments/billing", "acme/payments/billing"),
        ("é/ü/😀", "é/ü/😀"),
        ("a.b-c_d/%41/{x}", "a.b-c_d/%41/{x}"),
        ("0192A3B4-0000-7000-8000-00000000000F", "0192a3b4-0000-7000-8000-00000000000f"),
        ("0192a3b40000700080000000000000ff", "0192a3b4-0000-7000-8000-0000000000ff"),
    ],
)
def test_a_toolset_is_named_by_path_or_by_id(reference: str, normal: str) -> None:
    assert validate_request("create_release", {**CREATE, "toolset": reference}).toolset == normal


TOO_LONG = "x" * 10_000_000
HUGE = 10**5000
NO_TEXT = [7, True, b"bytes", ["text"], {}, 1.5]
NO_LINE = ["", "a\nb", "a\tb", "\x00", "\x1b[0m", "\x9f", "\ud800", "x" * 201, TOO_LONG, *NO_TEXT]
NO_LINES = ["a\x00b", "\x1b", "\x08", "\udfff", "x" * (LONGEST_TEXT + 1), TOO_LONG, *NO_TEXT]
NO_FLAG = [1, 0, 1.0, "true", "yes", None, []]
NO_NUMBER = [-1, True, False, 1.0, 1.5, "1", LARGEST_BIGINT + 1, HUGE, Decimal(1), float("nan"), [1], b"1"]
NO_TOOLSET = ["a/b", "a/b/c/d", "/b/c", "a//c", "a/b/", "a b/c/d", "a/b/c\n", "no-uuid", "0192a3b4", "a/b/" + "c" * 600]
NO_LABELS = [
    *([], "a", 7, {1: 2}, {None: 1}, {"a": float("nan")}, {"a": [float("inf")]}, {"a": b""}, {"a": {1, 2}}),
    *({"a\x00": 1}, {"a": "\x00"}, {"\ud800": 1}, {"a": "\udc00"}, {"a": TOO_LONG}, {"a": HUGE}, {"a": object()}),
    {"a": "x" * LARGEST_LABELS},
]
NO_COMPONENTS = [[], "tools", ["tools", "tools"], [7], [""], ["\x00"], [str(n) for n in range(101)], {"tools": 1}, 7]

BAD: dict[tuple[str, str], list[Any]] = {
    ("create_release", "toolset"): [*NO_TOOLSET, *NO_LINE, None, UUID(int=7)],
    ("create_release", "actor"): [*NO_LINE, None],
    ("create_release", "notes"): NO_LINES,
    ("create_release", "labels"): NO_LABELS,
    ("create_release", "only_if_changed"): NO_FLAG,
    ("create_release", "expected_current_release"): NO_NUMBER,
    ("create_release", "idempotency_key"): NO_LINE,
    ("rollback", "release_number"): [*NO_NUMBER, 0, None],
    ("rollback", "reason"): NO_LINES,
    ("rollback", "components"): NO_COMPONENTS,
    ("rollback", "on_missing"): ["", "FAIL", "other", None, *NO_TEXT],
    ("rollback", "allow_shared_impact"): NO_FLAG,
    ("rollback", "expected_current_release"): NO_NUMBER,
    ("rollback", "dry_run"): NO_FLAG,
    ("check_drift", "toolset"): [*NO_TOOLSET, *NO_LINE, None],
    ("diff", "release_number"): [*NO_NUMBER, 0, None],
    ("diff", "to"): [*NO_NUMBER, 0, None, "", "LIVE", "dead"],
    ("diff", "components"): NO_COMPONENTS,
    ("diff", "key"): NO_LINES,
}


@pytest.mark.parametrize(("kind", "field"), BAD)
def test_a_bad_value_is_refused_under_the_name_of_its_field(kind: str, field: str) -> None:
    for value in BAD[kind, field]:
        problems = rejected(kind, {**VALID[kind], field: value})
        assert {name.partition(".")[0] for name in problems} == {field}, problems


@pytest.mark.parametrize("kind", VALID)
def test_unknown_fields_are_refused(kind: str) -> None:
    assert set(rejected(kind, {**VALID[kind], "colour": "red", "acotr": 1})) == {"colour", "acotr"}


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", "\x1b[31m", "x" * 100_000, ""])
def test_an_unknown_field_of_any_name_can_be_told(name: str) -> None:
    assert rejected("create_release", {**CREATE, name: 1})


def test_every_problem_is_listed() -> None:
    problems = rejected("rollback", {"toolset": "x", "actor": "", "release_number": 0, "dry_run": 1, "more": 1})
    assert set(problems) == {"toolset", "actor", "release_number", "dry_run", "more"}


def test_missing_fields_are_listed() -> None:
    assert set(rejected("create_release", {})) == {"toolset", "actor"}
    assert set(rejected("rollback", {})) == {"toolset", "actor", "release_number"}


def test_a_flood_of_problems_is_cut_short() -> None:
    fields = {f"field-{number}": 1 for number in range(10_000)}
    with pytest.raises(InvalidRequest) as invalid:
        validate_request("create_release", {**CREATE, **fields})
    assert len(json.dumps(invalid.value.as_record())) < 50_000


def nested_labels(depth: int) -> dict[str, Any]:
    """Labels whose innermost value lies inside so many arrays and objects."""
    nested: Any = 1
    for _ in range(depth - 1):
        nested = [nested]
    return {"nested": nested}


@pytest.mark.parametrize("depth", [1, 50, DEEPEST])
def test_nested_labels_are_taken_as_they_are_up_to_the_limit(depth: int) -> None:
    labels = nested_labels(depth)
    assert validate_request("create_release", {**CREATE, "labels": labels}).payload()["labels"] == labels


@pytest.mark.parametrize("depth", [DEEPEST + 1, DEEPEST + 30, 400, 900, 3000, 8000])
def test_labels_nested_beyond_the_limit_are_refused(depth: int) -> None:
    assert "labels" in "".join(rejected("create_release", {**CREATE, "labels": nested_labels(depth)}))


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=5),
        JSON_VALUES,
        max_size=3,
    )
)
def test_labels_of_plain_json_are_taken_as_they_are(labels: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(canonical_json.as_plain(labels)))
    request = validate_request("create_release", {**CREATE, "labels": plain})
    stored = request.payload()["labels"] or {}  # none and no label are the same
    assert exact(canonical_json.loads(canonical_json.dumps(stored))) == canonical_json.dumps(plain)


@pytest.mark.parametrize("text", ["", "line\nbreak\r\n\ttab", "é 😀 \u2028", "x" * LONGEST_TEXT, "{braces} %s \\u0000"])
def test_notes_and_reasons_are_any_text_of_some_lines(text: str) -> None:
    assert validate_request("create_release", {**CREATE, "notes": text}).payload()["notes"] == text
    assert validate_request("rollback", {**ROLLBACK, "reason": text}).payload()["reason"] == text


def test_a_label_that_only_looks_like_an_escaped_nul_is_taken() -> None:
    labels = {"a": "\\u0000", "\\\\u0000": 1}
    assert validate_request("create_release", {**CREATE, "labels": labels}).payload()["labels"] == labels


def test_the_largest_numbers_are_taken() -> None:
    fields = {**ROLLBACK, "release_number": LARGEST_BIGINT, "expected_current_release": 0}
    assert validate_request("rollback", fields).payload()["release_number"] == LARGEST_BIGINT


def test_components_may_be_a_list_or_a_tuple() -> None:
    for components in (["tools", "system"], ("tools", "system")):
        request = validate_request("rollback", {**ROLLBACK, "components": components})
        assert request.payload()["components"] == ["tools", "system"]


def test_the_idempotency_key_is_no_part_of_what_it_stands_for() -> None:
    with_key = validate_request("create_release", {**CREATE, "idempotency_key": "build-1"})
    assert with_key.payload() == validate_request("create_release", CREATE).payload()


def test_positional_arguments_are_read_in_the_order_of_the_public_signatures() -> None:
    request = parse_request("create_release", [TOOLSET, "ci", "notes", {"a": 1}, True, 7, "key"], {})
    assert request == validate_request(
        "create_release",
        {
            **CREATE,
            "notes": "notes",
            "labels": {"a": 1},
            "only_if_changed": True,
            "expected_current_release": 7,
            "idempotency_key": "key",
        },
    )
    request = parse_request("rollback", [TOOLSET, 3, "ci", "reason", ["tools"], "skip", True, 7, True, "key"], {})
    assert request == validate_request(
        "rollback",
        {
            **ROLLBACK,
            "reason": "reason",
            "components": ["tools"],
            "on_missing": "skip",
            "allow_shared_impact": True,
            "expected_current_release": 7,
            "dry_run": True,
            "idempotency_key": "key",
        },
    )
    assert parse_request("check_drift", [TOOLSET], {}) == validate_request("check_drift", {"toolset": TOOLSET})


def test_too_many_positional_arguments_are_refused() -> None:
    for kind, most in (("create_release", 7), ("rollback", 10), ("check_drift", 1)):
        with pytest.raises(InvalidRequest):
            parse_request(kind, [TOOLSET] * (most + 1), {})


def test_an_argument_that_is_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest) as invalid:
        parse_request("create_release", [TOOLSET, "ci"], {"actor": "cd"})
    assert [problem["field"] for problem in invalid.value.details["problems"]] == ["actor"]


def test_a_component_that_no_one_provides_is_refused_by_name() -> None:
    check_component_names(None, ["tools"])
    check_component_names(["tools"], ["tools", "system"])
    with pytest.raises(InvalidRequest, match="colours") as invalid:
        check_component_names(["tools", "colours"], ["tools", "system"])
    assert_can_be_stored(invalid.value.as_record())


def test_a_request_cannot_be_changed() -> None:
    request = validate_request("create_release", CREATE)
    with pytest.raises(ValueError, match="frozen"):
        request.actor = "other"


def test_every_kind_of_request_has_a_kind_of_result() -> None:
    assert all(request.kind == kind and issubclass(request.result, Result) for kind, request in KINDS.items())
    assert len({request.result for request in KINDS.values()}) == len(KINDS)


def test_results_have_the_fields_of_the_contract() -> None:
    assert set(CreateReleaseResult.model_fields) >= {
        *("release_id", "release_number", "toolset_id", "toolset_version", "digest", "created"),
    }
    assert set(RollbackResult.model_fields) >= {
        *("rollback_id", "toolset_id", "from_release_number", "to_release_number", "backup_release_number"),
        *("components", "changes", "warnings", "noop", "dry_run"),
    }
    assert set(KINDS["check_drift"].result.model_fields) >= {"drifted", "current_release_number", "changes"}
