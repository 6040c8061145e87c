"""Restoring a table touches the rows that differ and no others; rows that were deleted softly come back."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text

from release_worker.components import UnlinkedTableComponent

EARLIER, LATER = "2026-01-01 10:00+00", "2026-01-02 10:00+00"


def words(**changes: Any) -> UnlinkedTableComponent:
    """Of a table `words (owner, word, meaning)`."""
    given = {"table": "words", "key": "word", "scope": "toolset", "scope_column": "owner", "values": ("meaning",)}
    return UnlinkedTableComponent(name="words", **{**given, **changes})


SOFTLY = words(deleted_at="deleted_at")
SOFT_TABLE = (
    "words (id int GENERATED ALWAYS AS IDENTITY, owner uuid, word text, meaning text, deleted_at timestamptz);"
    " CREATE UNIQUE INDEX ON words (owner, word) WHERE deleted_at IS NULL"
)


def run(engine: Engine, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with engine.begin() as connection:
        result = connection.execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def restore(engine: Engine, component: UnlinkedTableComponent, owner: UUID, target: str) -> None:
    with engine.begin() as connection:
        component.restore(connection, "CAST(:target AS jsonb)", {"toolset_id": owner, "target": target})


def test_only_rows_that_differ_are_touched(engine: Engine) -> None:
    run(engine, "CREATE TABLE words (owner uuid, word text, meaning numeric)")
    owner, other = uuid4(), uuid4()
    run(
        engine,
        "INSERT INTO words SELECT owner, word, 1.50 FROM unnest(ARRAY[:a, :b]::uuid[]) AS owner,"
        " unnest(ARRAY['same', 'equal', 'changed', 'removed']) AS word",
        a=owner,
        b=other,
    )
    rows = "SELECT owner, word, meaning::text, ctid::text, xmin::text FROM words ORDER BY owner, word"
    before = run(engine, rows)
    restore(engine, words(), owner, '{"same": {"meaning": 1.50}, "equal": {"meaning": 1.5}, "changed": {}, "new": {}}')
    after = run(engine, rows)
    kept = [row for row in before if row[0] == other or row[1] in ("same", "equal")]
    assert [row for row in after if row in before] == kept
    assert sorted(row[1:3] for row in after if row not in before) == [("changed", None), ("new", None)]


def test_columns_that_are_not_listed_are_left_alone_and_have_their_defaults_in_a_new_row(engine: Engine) -> None:
    run(engine, "CREATE TABLE words (owner uuid, word text, meaning text, note text DEFAULT 'none')")
    owner = uuid4()
    run(engine, "INSERT INTO words VALUES (:owner, 'a', 'A', 'mine')", owner=owner)
    restore(engine, words(), owner, '{"a": {"meaning": "B"}, "b": {}}')
    found = run(engine, "SELECT word, meaning, note FROM words ORDER BY word")
    assert found == [("a", "B", "mine"), ("b", None, "none")]


def test_a_key_without_values_says_that_the_row_is_there(engine: Engine) -> None:
    run(engine, "CREATE TABLE words (owner uuid, word text)")
    owner = uuid4()
    restore(engine, words(values=()), owner, '{"a": {}, "b": {}}')
    restore(engine, words(values=()), owner, '{"b": {}, "c": {}}')
    assert run(engine, "SELECT word FROM words ORDER BY word") == [("b",), ("c",)]


@pytest.mark.parametrize("kind", ["ALWAYS", "BY DEFAULT"])
def test_an_identity_column_in_the_key_comes_back_as_it_was(engine: Engine, kind: str) -> None:
    run(engine, f"CREATE TABLE words (id bigint GENERATED {kind} AS IDENTITY, owner uuid, meaning text)")
    owner, component = uuid4(), words(key="id")
    restore(engine, component, owner, '{"7": {"meaning": "A"}}')
    restore(engine, component, owner, '{"7": {"meaning": "B"}, "9007199254740993": {}}')
    assert run(engine, "SELECT id, meaning FROM words ORDER BY id") == [(7, "B"), (9007199254740993, None)]


def test_rows_may_exchange_the_values_of_a_deferrable_constraint(engine: Engine) -> None:
    run(engine, "CREATE TABLE words (owner uuid, word text, meaning int, UNIQUE (owner, meaning) DEFERRABLE)")
    owner = uuid4()
    restore(engine, words(), owner, '{"a": {"meaning": 1}, "b": {"meaning": 2}, "c": {"meaning": 3}}')
    restore(engine, words(), owner, '{"a": {"meaning": 2}, "b": {"meaning": 1}, "d": {"meaning": 3}}')
    assert run(engine, "SELECT word, meaning FROM words ORDER BY word") == [("a", 2), ("b", 1), ("d", 3)]


def test_a_row_that_is_removed_is_deleted_softly_now(engine: Engine) -> None:
    run(engine, f"CREATE TABLE {SOFT_TABLE}")
    owner = uuid4()
    run(engine, "INSERT INTO words (owner, word, meaning) VALUES (:owner, 'a', 'A')", owner=owner)
    with engine.begin() as connection:
        SOFTLY.restore(connection, "CAST(NULL AS jsonb)", {"toolset_id": owner})
        assert connection.execute(text("SELECT deleted_at = now(), meaning FROM words")).all() == [(True, "A")]


@pytest.mark.parametrize(
    ("times", "newest"), [((EARLIER, LATER), 1), ((LATER, EARLIER), 0), ((EARLIER, LATER, EARLIER), 1)]
)
def test_the_row_that_was_deleted_last_comes_back_with_the_values_that_were_captured(
    engine: Engine, times: tuple[str, ...], newest: int
) -> None:
    run(engine, f"CREATE TABLE {SOFT_TABLE}")
    owner, other = uuid4(), uuid4()
    insert = "INSERT INTO words (owner, word, meaning, deleted_at) VALUES"
    for place, time in enumerate(times):
        run(engine, f"{insert} (:owner, 'a', :meaning, :time)", owner=owner, meaning=str(place), time=time)
    run(engine, f"{insert} (:other, 'a', 'x', '2027-01-01')", other=other)
    restore(engine, SOFTLY, owner, '{"a": {"meaning": "captured"}}')
    found = run(engine, "SELECT id, owner, meaning FROM words WHERE deleted_at IS NULL")
    assert found == [(newest + 1, owner, "captured")]


def test_a_row_that_is_there_is_changed_and_the_deleted_of_its_key_stay_deleted(engine: Engine) -> None:
    run(engine, f"CREATE TABLE {SOFT_TABLE}")
    owner = uuid4()
    insert = "INSERT INTO words (owner, word, meaning, deleted_at) VALUES (:owner, 'a', 'A', :time)"
    for time in (LATER, None):
        run(engine, insert, owner=owner, time=time)
    restore(engine, SOFTLY, owner, '{"a": {"meaning": "B"}, "b": {"meaning": "C"}}')
    found = run(engine, "SELECT id, word, meaning, deleted_at IS NULL FROM words ORDER BY id")
    assert found == [(1, "a", "A", False), (2, "a", "B", True), (3, "b", "C", True)]
