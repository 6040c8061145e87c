"""JSON values for property tests, as apps store them: all that `jsonb` can hold, in sizes that stay quick."""

from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# What `jsonb` refuses in a string: U+0000 and lone surrogates.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)

# Words that could be mistaken: for parameters, for JSON, for numbers with trailing zeros.
NASTY_TEXT = st.sampled_from(
    [
        "",
        "1.0",
        "1.50,",
        '"',
        "\\",
        "\\u0000",
        "a/b",
        ":toolset_id",
        "%s",
        "{}",
        "é",
        "😀",
        "\u2028",
        "\x7f",
        "\n\t\b\f\r\x01",
    ]
)
KEYS = TEXT | NASTY_TEXT

INTEGERS = st.integers(-9, 9) | st.integers(-(10**40), 10**40)


@st.composite
def decimals(draw: st.DrawFn) -> Decimal:
    """Decimals of many digits, often with zeros at the end."""
    whole = draw(st.integers(-(10**24), 10**24))
    fraction = draw(
        st.sampled_from(["0", "00", "5", "50", "000000000000000000010"]) | st.from_regex("[0-9]{1,30}", fullmatch=True)
    )
    return Decimal(f"{whole}.{fraction}")


DECIMALS = decimals()
SCALARS = st.none() | st.booleans() | INTEGERS | DECIMALS | TEXT | NASTY_TEXT

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
JSON_OBJECTS = st.dictionaries(KEYS, JSON_VALUES, max_size=4)


def examples(percent: int) -> settings:
    """So many percent of the examples that the profile asks for (100 by default)."""
    return settings(max_examples=settings().max_examples * percent // 100)


def examples_in_one_database(percent: int) -> settings:
    """The same for a test whose database stays from example to example: each must bear what the others wrote."""
    return settings(examples(percent), suppress_health_check=[HealthCheck.function_scoped_fixture])
