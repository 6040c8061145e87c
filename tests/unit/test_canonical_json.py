"""One exact text for each JSON value."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from release_worker.domain import canonical_json
from release_worker.errors import UnsupportedContent
from tests.support import exact_json
from tests.support.strategies import DECIMALS, JSON_OBJECTS, JSON_VALUES, KEYS


@given(JSON_VALUES)
def test_a_value_comes_back_from_its_text_unchanged(value: Any) -> None:
    text = canonical_json.dumps(value)
    assert exact_json.exact(canonical_json.loads(text)) == exact_json.exact(value)
    assert canonical_json.dumps(canonical_json.loads(text)) == text


@given(JSON_VALUES)
def test_the_text_is_that_of_the_documented_rule(value: Any) -> None:
    assert canonical_json.dumps(value) == exact_json.exact(value)
    assert canonical_json.digest(value) == exact_json.digest(value)


@given(JSON_VALUES)
def test_the_text_is_json_that_any_parser_reads(value: Any) -> None:
    assert json.loads(canonical_json.dumps(value), parse_float=Decimal) == value


@given(JSON_OBJECTS, st.randoms())
def test_the_order_of_keys_makes_no_difference(value: dict[str, Any], random: Any) -> None:
    members = list(value.items())
    random.shuffle(members)
    assert canonical_json.dumps(dict(members)) == canonical_json.dumps(value)


@given(DECIMALS, st.integers(0, 20))
@example(Decimal("1E+3"), 0)
@example(Decimal("-0E+5"), 3)
@example(Decimal("-0.00"), 0)
@example(Decimal("1E-400"), 2)
def test_equal_decimals_have_one_text(number: Decimal, zeros: int) -> None:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    longer = Decimal((sign, (*digits, *[0] * zeros), exponent - zeros))
    assert longer == number
    assert canonical_json.dumps(longer) == canonical_json.dumps(number)


@given(DECIMALS, DECIMALS)
def test_different_decimals_have_different_texts(one: Decimal, other: Decimal) -> None:
    assert (canonical_json.dumps(one) == canonical_json.dumps(other)) == (one == other)


@given(st.integers())
def test_an_integer_has_the_text_of_the_equal_decimal(number: int) -> None:
    assert canonical_json.dumps(number) == canonical_json.dumps(Decimal(number)) == str(number)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_stands_for_its_shortest_decimal(number: float) -> None:
    assert Decimal(canonical_json.dumps(number)) == Decimal(repr(number))


@given(st.lists(KEYS, unique=True))
def test_keys_are_ordered_by_length_then_by_bytes(keys: list[str]) -> None:
    read = list(json.loads(canonical_json.dumps(dict.fromkeys(keys, 0))))
    assert read == sorted(keys, key=lambda key: (len(key.encode()), key.encode()))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[1,]", "", "01", "'a'", "[NaN]"])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        canonical_json.loads(text)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("-Infinity"),
        b"bytes",
        {1, 2},
        object(),
        1j,
        [object()],
        {"a": b""},
        {1: "a key that is no string"},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_exact_json_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json.dumps(value)


def test_the_last_of_equal_keys_wins() -> None:
    assert canonical_json.loads('{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


def test_numbers_of_any_length_are_held_exactly() -> None:
    for text in ("1" * 4000, "9" * 20000, "0." + "123456789" * 500, "1" * 5000 + "." + "5" * 5000):
        assert canonical_json.dumps(canonical_json.loads(text)) == text


@pytest.mark.parametrize("depth", [100, 700])
def test_deeply_nested_values_have_a_text(depth: int) -> None:
    text = "[" * depth + "1" + "]" * depth
    assert canonical_json.dumps(canonical_json.loads(text)) == text


@given(JSON_VALUES)
def test_a_plain_value_keeps_every_number_exactly_as_a_float_or_as_text(value: Any) -> None:
    plain = canonical_json.as_plain(value)
    again = json.loads(json.dumps(plain))
    assert same_number_or_text(value, again)


def same_number_or_text(value: Any, plain: Any) -> bool:
    match value:
        case Decimal():
            return Decimal(plain if isinstance(plain, str) else repr(plain)) == value
        case dict():
            return value.keys() == plain.keys() and all(same_number_or_text(value[key], plain[key]) for key in value)
        case list():
            return len(value) == len(plain) and all(map(same_number_or_text, value, plain))
        case _:
            return bool(value == plain) and isinstance(value, bool) == isinstance(plain, bool)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("0.5", 0.5),
        ("-12.25", -12.25),
        ("0.1", 0.1),  # the shortest decimal of a float stands for it
        ("0.10000000000000000001", "0.10000000000000000001"),
        ("123456789.123456789123", "123456789.123456789123"),
    ],
)
def test_a_decimal_is_a_float_for_plain_encoders_if_that_is_exact_and_otherwise_its_text(
    text: str, plain: float | str
) -> None:
    found = canonical_json.as_plain({"a": [Decimal(text)]})["a"][0]
    assert (type(found), found) == (type(plain), plain)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_constant_that_json_lacks_is_refused_by_name(constant: str) -> None:
    with pytest.raises(ValueError, match=f"^{constant} is not JSON$"):
        canonical_json.loads(f'{{"a": {constant}}}')


def test_what_cannot_be_held_is_told_why() -> None:
    with pytest.raises(UnsupportedContent) as refused:
        canonical_json.loads("[" * 1_000_000)
    assert refused.value.details == {"reason": "nested too deeply"}
    for value, sentence in (
        (Decimal("Infinity"), "Infinity has no JSON form"),
        ({"a": object()}, "object has no exact JSON form"),
        ({1: "a"}, "a key must be a string, not int"),
    ):
        with pytest.raises(TypeError, match=f"^{sentence}$"):
            canonical_json.dumps(value)


def test_an_integer_is_an_int_as_long_as_one_can_be_that_long() -> None:
    assert [type(number) for number in canonical_json.loads("[1, -20]")] == [int, int]


@pytest.mark.parametrize("text", ["0", "-0", "0.0", "-0.0", "-0.00", "0e5", "-0e-5"])
def test_zero_has_no_sign_and_one_text(text: str) -> None:
    assert canonical_json.dumps(canonical_json.loads(text)) == "0"


def test_a_number_that_no_computer_holds_is_not_json() -> None:
    with pytest.raises(ValueError, match="exponent of too many digits"):
        canonical_json.loads('{"a": -1e-9999999999999999999}')
