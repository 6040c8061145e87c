"""Digests are the same inside PostgreSQL, in the product's Python, and by the documented rule."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from release_worker.domain import canonical_json
from tests.support import exact_json
from tests.support.billing import INVOICE, a_full_toolset, active_deployment, edit_everything
from tests.support.exact_json import written
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import captured_state, recomputed_digests, stored_digests
from tests.support.strategies import JSON_VALUES, examples_in_one_database


def digest_in_postgresql(connection: Connection, value: str) -> str:
    return str(
        connection.execute(text("SELECT release_worker_digest(CAST(:value AS jsonb))"), {"value": value}).scalar_one()
    )


def canonical_in_postgresql(connection: Connection, value: str) -> str:
    query = text("SELECT release_worker_canonical(CAST(:value AS jsonb))::text")
    return str(connection.execute(query, {"value": value}).scalar_one())


@examples_in_one_database(300)
@given(value=JSON_VALUES)
@example(value=[])
@example(value={})
@example(value={"a": [], "b": {}, "c": Decimal("1.0")})
@example(value={"": Decimal("0.0"), "aa": Decimal("-0.0"), "b": Decimal("100")})
@example(value=["1.0", "1.50]", Decimal("1.50"), {"1.0,": None}])
@example(value=Decimal("1e-30"))
@example(value=10**30)
def test_a_digest_is_the_same_in_postgresql_and_in_python(engine: Engine, value: Any) -> None:
    with engine.connect() as connection:
        assert canonical_in_postgresql(connection, written(value)) == canonical_json.dumps(value)
        assert digest_in_postgresql(connection, written(value)) == canonical_json.digest(value)
    assert exact_json.digest(value) == canonical_json.digest(value)


# What ends and begins strings and numbers, put together to strings and keys that look like JSON, or break it if escaped
# wrongly.
FRAGMENTS = st.sampled_from(
    ['"', "\\", "\\\\", ".", "0", "1.0", "2.50", "-0.0", ",", ", ", ": ", "[", "]", "{", "}", "\n", "é"]
)
MISLEADING_TEXT = st.lists(FRAGMENTS, max_size=8).map("".join)
ZEROS_AT_THE_END = st.sampled_from(["0.0", "-1.0", "1.50", "100.00", "0.010", "-0.00", "10.0010", "1.01", "100", "0.5"])
MISLEADING_VALUES: st.SearchStrategy[Any] = st.recursive(
    MISLEADING_TEXT | ZEROS_AT_THE_END.map(Decimal),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(MISLEADING_TEXT, inner, max_size=4),
    max_leaves=12,
)


@examples_in_one_database(1000)
@given(value=MISLEADING_VALUES)
@example(value={"description": "OAuth 2.0, see docs"})
@example(value=["OAuth 2.0, see docs", Decimal("2.0"), "OAuth 2.0, see docs"])
@example(value={"a\\": Decimal("1.0"), '": 1.0, "': '": 1.0}'})
@example(value=['\\"1.0]', "1.0]\\", Decimal("1.0")])
def test_strings_that_look_like_numbers_stay_as_they_are_in_a_digest(engine: Engine, value: Any) -> None:
    with engine.connect() as connection:
        assert canonical_in_postgresql(connection, written(value)) == exact_json.exact(value)
        assert digest_in_postgresql(connection, written(value)) == exact_json.digest(value)


@pytest.mark.parametrize(
    ("value", "calls"),
    [
        ({"description": "OAuth 2.0, see docs", "limit": Decimal("0.5")}, 0),
        (["1.0", {"1.50]": "2.0}"}, '"3.0,', "4.0\\"], 0),
        ({"description": "OAuth 2.0, see docs", "limit": Decimal("0.50")}, 1),
    ],
)
def test_zeros_are_looked_for_in_numbers_only(engine: Engine, value: Any, calls: int) -> None:
    """What a string says must not make a digest dearer: the text is rewritten only if a number asks for it."""
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL track_functions = 'all'"))
        digest_in_postgresql(connection, written(value))
        assert calls_of(connection, "release_worker_digest") == 1
        assert calls_of(connection, "release_worker_without_zeros", "release_worker_canonical") == calls


def calls_of(connection: Connection, *functions: str) -> int:
    """How often these functions were called in this transaction."""
    query = text(
        "SELECT coalesce(sum(calls), 0)::int FROM pg_stat_xact_user_functions WHERE funcname = ANY(:functions)"
    )
    return int(connection.execute(query, {"functions": list(functions)}).scalar_one())


@pytest.mark.parametrize(
    ("texts", "canonical"),
    [
        (["1.50", "1.5", "15e-1", "1.500000", "0.15e1"], "1.5"),
        (["0", "-0", "0.0", "-0.000", "0e10"], "0"),
        (["100", "1e2", "100.00", "1.0e+2"], "100"),
        (["1e-7", "0.0000001", "0.00000010"], "0.0000001"),
        (["12345678901234567890", "12345678901234567890.0"], "12345678901234567890"),
        (["0.1234567890123456789012345", "0.12345678901234567890123450"], "0.1234567890123456789012345"),
        (['{"b": 1, "aa": 2, "a": 3}', '{"a":0,"aa":2,"b":1,"a":3}'], '{"a": 3, "b": 1, "aa": 2}'),
        (['{"é": 1, "z": 2, "zz": 3}'], '{"z": 2, "zz": 3, "é": 1}'),
        (['"\\u00e9\\/\\u0041\\u001f\\n"'], '"é/A\\u001f\\n"'),
        (["[]", "[ ]"], "[]"),
        (["null", " null "], "null"),
        (["[true, false, 1, 0]"], "[true, false, 1, 0]"),
    ],
)
def test_equal_values_have_one_text(engine: Engine, texts: list[str], canonical: str) -> None:
    with engine.connect() as connection:
        assert {canonical_in_postgresql(connection, one) for one in texts} == {canonical}
        assert len({digest_in_postgresql(connection, one) for one in texts}) == 1
    assert {canonical_json.dumps(canonical_json.loads(one)) for one in texts} == {canonical}
    assert {exact_json.exact(exact_json.parsed(one)) for one in texts} == {canonical}


def test_the_largest_numbers_that_postgresql_can_hold_have_the_same_digest(engine: Engine) -> None:
    for value in ("1" + "0" * 130000, "9" * 5000, "1e131071", "-1e-16383", "0." + "0" * 16382 + "1"):
        with engine.connect() as connection:
            assert digest_in_postgresql(connection, value) == canonical_json.digest(canonical_json.loads(value))


@pytest.mark.parametrize("depth", [50, 400])
def test_deeply_nested_values_have_the_same_digest(engine: Engine, depth: int) -> None:
    nested = "[" * depth + "1.50" + "]" * depth
    with engine.connect() as connection:
        assert digest_in_postgresql(connection, nested) == exact_json.digest(exact_json.parsed(nested))
    assert canonical_json.digest(canonical_json.loads(nested)) == exact_json.digest(exact_json.parsed(nested))


@examples_in_one_database(40)
@given(
    content=st.fixed_dictionaries(
        dict.fromkeys(("settings", "definition", "asset", "value", "own", "shared"), JSON_VALUES)
    )
)
def test_a_release_of_any_content_can_be_recomputed_from_its_rows_and_restored(engine: Engine, content: Any) -> None:
    billing = a_full_toolset(engine, organization=f"org-{uuid4()}")
    billing.edit(settings=content["settings"])
    active_deployment(billing).edit_tool(INVOICE, definition=content["definition"])
    active_deployment(billing).edit_asset("function", "billing", config=content["asset"])
    billing.project.configure("value", content["value"])
    billing.project.edit_prompt("summary", arguments=content["value"])
    billing.project.organization.vary(INVOICE, content["shared"])
    billing.vary(INVOICE, content["own"])
    state = live_state(engine, billing)
    release(engine, billing)
    assert captured_state(engine, billing, 1) == state
    assert stored_digests(engine, billing, 1) == recomputed_digests(engine, billing, 1)
    edit_everything(billing)
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state
    assert not drift(engine, billing).drifted
