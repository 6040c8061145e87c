"""Any history of edits, a capture, any history of edits again, and a restore: rows of all types are as they were."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from release_worker.components import UnlinkedTableComponent
from tests.support.exact_json import exact, parsed, written
from tests.support.strategies import JSON_VALUES, TEXT, examples_in_one_database
from tests.support.tables import NOT_IN_ARRAYS, TYPES, column_names, create_table_of_all_types

COLUMNS = column_names()
THINGS = UnlinkedTableComponent(
    name="things",
    table="things",
    key=("region", "number"),
    scope="toolset",
    scope_column="owner",
    values=tuple(COLUMNS),
    deleted_at="deleted_at",
)
BY_VALUE = ("jsonb", "document")
REGIONS = ["", "eu", "null", '", "', "é:%s"]
# Of these types, any value; the others have those of the list.
ANY = {
    "text": TEXT,
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30).map(str),
    "double precision": st.floats().map(repr),
    "real": st.floats(width=32).map(repr),
    "bytea": st.binary(max_size=8).map(lambda value: f"\\x{value.hex()}"),
    "date": st.dates().map(str),
    "timestamp with time zone": st.datetimes().map(lambda time: f"{time} America/New_York"),
    "uuid": st.uuids().map(str),
    "jsonb": JSON_VALUES.map(written),
    "json": JSON_VALUES.map(written),
}


def a_value(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from(TYPES[kind]) | ANY.get(kind, st.nothing())


@dataclass(frozen=True)
class Step:
    """An edit of the row of a key: written with these texts by column, or deleted."""

    region: str
    number: int
    values: Mapping[str, str | Sequence[str | None]] | None = field(default=None)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    region, number = draw(st.sampled_from(REGIONS)), draw(st.integers(0, 2))
    if not draw(st.integers(0, 3)):
        return Step(region, number)
    kinds = draw(st.lists(st.sampled_from(list(TYPES)), min_size=3, max_size=12, unique=True))
    values: dict[str, str | Sequence[str | None]] = {}
    for kind in kinds:
        place = list(TYPES).index(kind)
        if kind in NOT_IN_ARRAYS or draw(st.booleans()):
            values[f"c{place}"] = draw(a_value(kind))
        else:
            values[f"a{place}"] = draw(st.lists(st.none() | a_value(kind), max_size=3))
    return Step(region, number, values)


HISTORIES = st.lists(steps(), max_size=6)
BEGINNINGS = st.lists(steps(), min_size=1, max_size=6)


def edit(connection: Connection, owner: UUID, step: Step) -> None:
    """As an app does: delete softly, or for good if the number is 0; write a row, and set the columns it names."""
    key = {"owner": owner, "region": step.region, "number": step.number}
    where = "WHERE owner = :owner AND region = :region AND number = :number AND deleted_at IS NULL"
    if step.values is None:
        deleting = "UPDATE things SET deleted_at = clock_timestamp()" if step.number else "DELETE FROM things"
        connection.execute(text(f"{deleting} {where}"), key)
        return
    new = f"SELECT :owner, :region, :number WHERE NOT EXISTS (SELECT FROM things {where})"
    connection.execute(text(f"INSERT INTO things (owner, region, number) {new}"), key)
    assigned = ", ".join(f"{column} = {_bound(column, value)}" for column, value in step.values.items())
    connection.execute(text(f"UPDATE things SET {assigned} {where}"), {**key, **step.values})


def _bound(column: str, value: str | Sequence[str | None]) -> str:
    kind = COLUMNS[column]
    if isinstance(value, str):
        return f"CAST(CAST(:{column} AS text) AS {kind})"
    return f"ARRAY(SELECT CAST(one AS {kind.removesuffix('[]')}) FROM unnest(CAST(:{column} AS text[])) AS one)"


def rows(connection: Connection, owner: UUID) -> list[tuple[str | None, ...]]:
    """What is there, as PostgreSQL writes it, and nothing of the product's SQL. Numbers are by value: 1.5 is 1.50."""
    numbers = [f"CAST(trim_scale({name}) AS text)" for name, kind in COLUMNS.items() if kind in ("numeric", "positive")]
    documents = [f"CAST({name} AS text)" for name, kind in COLUMNS.items() if kind in BY_VALUE]
    exactly = ", ".join(name for name, kind in COLUMNS.items() if kind not in ("numeric", "positive", *BY_VALUE))
    query = f"""
        SELECT CAST(ROW (region, number, {exactly}) AS text), {", ".join(numbers + documents)}
        FROM things WHERE owner = :owner AND deleted_at IS NULL ORDER BY region, number
    """
    found = connection.execute(text(query), {"owner": owner})
    first = 1 + len(numbers)
    return [(*row[:first], *(value and exact(parsed(value)) for value in row[first:])) for row in found]


@pytest.fixture
def things(engine: Engine) -> Engine:
    create_table_of_all_types(engine)
    with engine.begin() as connection:
        connection.execute(
            text("ALTER TABLE things ADD deleted_at timestamptz, DROP CONSTRAINT things_owner_region_number_key")
        )
        connection.execute(text("CREATE UNIQUE INDEX ON things (owner, region, number) WHERE deleted_at IS NULL"))
    return engine


@examples_in_one_database(40)
@given(before=BEGINNINGS, after=HISTORIES, others=HISTORIES)
def test_every_history_is_restored_exactly(
    things: Engine, before: list[Step], after: list[Step], others: list[Step]
) -> None:
    owner, other = uuid4(), uuid4()
    query = text(f"SELECT CAST({THINGS.capture()} AS text)")
    with things.connect() as connection:
        for step in before:
            edit(connection, owner, step)
        for step in others:
            edit(connection, other, step)
        captured, of_others = rows(connection, owner), rows(connection, other)
        target = connection.execute(query, {"toolset_id": owner}).scalar()
        for step in after:
            edit(connection, owner, step)
        for who, wanted in ((owner, captured), (uuid4(), captured)):
            parameters = {"toolset_id": who, "target": target}
            THINGS.restore(connection, "CAST(:target AS jsonb)", parameters)
            assert rows(connection, who) == wanted
            assert connection.execute(query, parameters).scalar() == target
        assert rows(connection, other) == of_others
        differing = connection.execute(
            text(f"SELECT count(*) FROM ({THINGS.diff('CAST(:old AS jsonb)', 'CAST(:new AS jsonb)')}) AS d"),
            {"old": target, "new": target},
        ).scalar()
        assert differing == 0
        connection.rollback()
