"""What is captured keeps its exact value, on its way in, in the record of changes, and on its way back."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.support.billing import INVOICE, REFUND, a_full_toolset, active_deployment
from tests.support.exact_json import parsed
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import captured_state, rollbacks_of, whole_database
from tests.support.rows import SQL_NULL
from tests.support.world import Toolset

VALUES: dict[str, Any] = {
    "an integer of 20 digits": 12345678901234567891,
    "a negative integer of 40 digits": -(10**39) - 1,
    "a decimal of 40 digits": Decimal("1234567890.123456789012345678901234567891"),
    "a decimal that no binary float is": Decimal("0.1"),
    "a tiny decimal": Decimal("0.000000000000000000000000000000000000000000001"),
    "decimals with zeros at the end": [Decimal("1.50"), Decimal("100.00"), {"a": Decimal("0.0")}],
    "integers past 2 to the 53": [2**53, 2**53 + 1, 2**63, 2**64 + 1],
    "unicode": {"é": "ü", "😀": "👩‍👩‍👧", "\u2028": "\u00a0", "a\u0301": "\u00e1", "\u00e1": "a\u0301"},
    "quotes and backslashes": {'"': "'", "\\": '\\"', "\\u0000": "\\\\u0000", "$$": "%(a)s", ":toolset_id": "{0}"},
    "control characters": {"\n\t\r\b\f": "\x01\x1f\x7f\x80"},
    "keys of every length": {"": 0, "b": 1, "a": 2, "aa": 3, "é": 4, "z" * 300: 5},
    "text that looks like numbers": ["1.0", "1.50,", "1.50]", "1e5", "null"],
    "empty things": [[], {}, "", [[]], [{}], {"": {}}, None],
    "booleans and numbers": [True, 1, False, 0, None],
    "the JSON value null": None,
    "a bare string": "text",
    "deep nesting": parsed("[" * 90 + "1.5" + "]" * 90),
}

PLACES: dict[str, Callable[[Toolset, Any], None]] = {
    "settings": lambda billing, value: billing.edit(settings=value),
    "tool definition": lambda billing, value: active_deployment(billing).edit_tool(INVOICE, definition=value),
    "asset": lambda billing, value: active_deployment(billing).edit_asset("function", "billing", config=value),
    "configuration": lambda billing, value: billing.project.configure("model", value),
    "prompt arguments": lambda billing, value: billing.project.edit_prompt("summary", arguments=value),
    "global variation": lambda billing, value: billing.project.organization.vary(INVOICE, value),
    "toolset variation": lambda billing, value: billing.vary(REFUND, value),
}


def json_columns(engine: Engine) -> list[str]:
    """The text of every JSON value that belongs to live state, to the last zero."""
    query = """
        SELECT settings::text FROM toolsets
        UNION ALL SELECT value::text FROM system_configs
        UNION ALL SELECT arguments::text FROM prompt_templates WHERE deleted_at IS NULL
        UNION ALL SELECT config::text FROM variations
        UNION ALL SELECT definition::text FROM tool_definitions JOIN projects p ON deployment_id = active_deployment_id
        UNION ALL SELECT config::text FROM deployment_assets JOIN projects p ON deployment_id = active_deployment_id
    """
    with engine.connect() as connection:
        return sorted(str(one) for one in connection.execute(text(query)).scalars())


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_every_value_is_captured_and_restored_exactly_in_every_place(engine: Engine, value: Any) -> None:
    billing = a_full_toolset(engine)
    for place in PLACES.values():
        place(billing, value)
    state, texts = live_state(engine, billing), json_columns(engine)
    release(engine, billing)
    assert captured_state(engine, billing, 1) == state
    for place in PLACES.values():
        place(billing, {"edited": True})
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state
    assert json_columns(engine) == texts
    assert set(done.changes) == {"settings", "deployment", "system", "global_variations", "toolset_variations"}


@pytest.mark.parametrize("place", PLACES)
def test_numbers_that_are_equal_as_decimals_are_no_change(engine: Engine, place: str) -> None:
    billing = a_full_toolset(engine)
    PLACES[place](billing, {"n": Decimal("1.0"), "m": [Decimal("2.50"), 100]})
    first = release(engine, billing)
    PLACES[place](billing, {"m": [Decimal("2.5"), Decimal("100.000")], "n": Decimal("1.00")})
    before = whole_database(engine)
    assert not drift(engine, billing).drifted
    assert release(engine, billing, only_if_changed=True).release_id == first.release_id
    assert roll_back(engine, billing, 1).noop
    assert whole_database(engine) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0, False),
        (0, None),
        (1, "1"),
        (None, "null"),
        ([], {}),
        ({"a": None}, {}),
        (2**53, 2**53 + 1),
        (Decimal("0.1"), Decimal("0.1000000000000000055511151231257827")),
        ("é", "e\u0301"),
        ([1, 2], [2, 1]),
        ({"a": [1, True]}, {"a": [True, 1]}),
    ],
)
@pytest.mark.parametrize("place", ["settings", "configuration", "prompt arguments", "toolset variation"])
def test_values_that_are_only_nearly_equal_are_a_change(engine: Engine, place: str, one: Any, other: Any) -> None:
    billing = a_full_toolset(engine)
    PLACES[place](billing, {"value": one})
    state = live_state(engine, billing)
    release(engine, billing)
    PLACES[place](billing, {"value": other})
    assert drift(engine, billing).drifted
    assert drift(engine, billing).changes
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state


@pytest.mark.parametrize(("captured", "edited"), [(None, SQL_NULL), (SQL_NULL, None)])
def test_the_json_value_null_and_no_arguments_are_told_apart(engine: Engine, captured: Any, edited: Any) -> None:
    billing = a_full_toolset(engine)
    billing.project.edit_prompt("greeting", arguments=captured)
    state = live_state(engine, billing)
    release(engine, billing)
    billing.project.edit_prompt("greeting", arguments=edited)
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state
    [changed] = done.changes["system"].changed
    sides = {"new": None} if captured is None else {"old": None}
    assert changed == {"key": "prompts/greeting", "fields": {"arguments": sides}}


def test_the_record_of_changes_holds_numbers_exactly(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    old, new = 12345678901234567891, Decimal("0.1234567890123456789012345678901")
    billing.edit(settings={"n": new})
    release(engine, billing)
    billing.edit(settings={"n": old})
    done = roll_back(engine, billing, 1)
    fields = {"n": {"old": old, "new": new}}
    assert done.changes["settings"].changed == ({"key": "settings", "fields": fields},)
    [record] = rollbacks_of(engine, billing)
    assert record.changes["settings"]["changed"] == [{"key": "settings", "fields": fields}]


def test_text_columns_keep_every_character(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    odd = "line\nbreak\ttab 'quote' \"double\" \\ {{x}} :toolset_id %s é 😀 \x01 "
    billing.edit(name=odd, description="")
    billing.project.edit_prompt("greeting", prompt=odd, description=odd, engine=odd)
    active_deployment(billing).edit_tool(INVOICE, name=odd, description="")
    billing.project.configure(odd, 1)
    billing.vary(odd, {})
    billing.add_tool(odd, 2**31 - 1)
    billing.add_resource(odd, -(2**31))
    state = live_state(engine, billing)
    release(engine, billing)
    billing.edit(name="x", description=None)
    billing.project.edit_prompt("greeting", prompt="", description=None, engine="x")
    active_deployment(billing).edit_tool(INVOICE, name="x", description=None)
    billing.project.unconfigure(odd)
    billing.unvary(odd)
    billing.remove_tool(odd)
    billing.remove_resource(odd)
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state
