"""Rows of any table are captured, compared and restored exactly, without a line of SQL by the author."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from release_worker.components import Parameters, TableComponent, UnlinkedTableComponent
from release_worker.errors import ComponentFailed
from tests.support.billing import a_full_toolset
from tests.support.exact_json import Json, parsed
from tests.support.ledger import ask, mailbox
from tests.support.operations import drift, release, roll_back
from tests.support.plug_ins import Once, with_plug_ins
from tests.support.tables import NOT_IN_ARRAYS, TYPES, column_names, create_table_of_all_types, rows_as_text
from tests.support.world import Toolset

ODD_SESSION = """
    SET LOCAL TimeZone = 'Asia/Kathmandu'; SET LOCAL DateStyle = 'SQL, DMY'; SET LOCAL IntervalStyle = 'sql_standard';
    SET LOCAL bytea_output = 'escape'; SET LOCAL extra_float_digits = -3
"""
ALL_TYPES = UnlinkedTableComponent(
    name="things",
    table="things",
    key=("region", "number"),
    scope="toolset",
    scope_column="owner",
    values=tuple(column_names()),
)


def table(engine: Engine, definition: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE {definition}"))


def run(engine: Engine, statement: str, **values: Any) -> list[Any]:
    """What the statement returns, and its effect."""
    with engine.begin() as connection:
        result = connection.execute(text(statement), values)
        return list(result) if result.returns_rows else []


def captured(connection: Connection, component: UnlinkedTableComponent, owner: UUID) -> str | None:
    query = text(f"SELECT CAST({component.capture()} AS text)")
    content: str | None = connection.execute(query, {f"{component.scope}_id": owner}).scalar()
    return content


def content(engine: Engine, component: UnlinkedTableComponent, owner: UUID) -> Json:
    with engine.connect() as connection:
        found = captured(connection, component, owner)
    return None if found is None else parsed(found)


def restore(connection: Connection, component: UnlinkedTableComponent, owner: UUID, target: str | None) -> None:
    component.restore(connection, "CAST(:target AS jsonb)", {f"{component.scope}_id": owner, "target": target})


def restored(engine: Engine, component: UnlinkedTableComponent, owner: UUID, target: str | None) -> None:
    with engine.begin() as connection:
        restore(connection, component, owner, target)


def words(**changes: Any) -> UnlinkedTableComponent:
    """Of a table `words (owner, word, meaning)`."""
    given = {"table": "words", "key": "word", "scope": "toolset", "scope_column": "owner", "values": ("meaning",)}
    return UnlinkedTableComponent(name="words", **{**given, **changes})


def test_values_of_every_type_come_back_exactly_whatever_the_session_is_set_to(engine: Engine) -> None:
    create_table_of_all_types(engine)
    owner, number = uuid4(), 0
    for place, (kind, values) in enumerate(TYPES.items()):
        array = kind not in NOT_IN_ARRAYS
        columns = f"c{place}, a{place}" if array else f"c{place}"
        one = f"CAST(CAST(:value AS text) AS {kind})"
        inserted = f"{one}, ARRAY[NULL, {one}]" if array else one
        for value in values:
            number += 1
            insert = f"INSERT INTO things (owner, region, number, {columns}) VALUES (:owner, 'r', :number, {inserted})"
            run(engine, insert, owner=owner, number=number, value=value)
    before = rows_as_text(engine, "things", "owner", owner)
    with engine.connect() as connection:
        target = captured(connection, ALL_TYPES, owner)
        connection.execute(text(ODD_SESSION))
        assert captured(connection, ALL_TYPES, owner) == target
        connection.execute(text("DELETE FROM things"))
        restore(connection, ALL_TYPES, owner, target)
        connection.commit()
    assert rows_as_text(engine, "things", "owner", owner) == before
    assert len(before) == number


def test_the_session_is_set_as_before_afterwards(engine: Engine) -> None:
    table(engine, "words (owner uuid, word text, meaning timestamptz)")
    show = "SELECT current_setting('TimeZone'), current_setting('DateStyle'), CAST(CAST(:time AS timestamptz) AS text)"
    owner, time = uuid4(), {"time": "2026-01-01 00:00+00"}
    with engine.begin() as connection:
        connection.execute(text(ODD_SESSION))
        before = connection.execute(text(show), time).one()
        restore(connection, words(), owner, '{"a": {"meaning": "2026-01-01 10:00:00+00"}}')
        captured(connection, words(), owner)
        assert connection.execute(text(show), time).one() == before
        together = text(f"SELECT {words().capture()}, CAST(CAST(:time AS timestamptz) AS text)")
        assert connection.execute(together, {**time, "toolset_id": owner}).one()[1] == before[2]


def test_null_is_left_out_and_json_null_is_null(engine: Engine) -> None:
    table(engine, "words (owner uuid, word text, meaning jsonb, place text)")
    component, owner = words(values=("meaning", "place")), uuid4()
    rows = "(:owner, 'a', NULL, NULL), (:owner, 'b', 'null', ''), (:owner, 'c', '\"null\"', 'null')"
    run(engine, f"INSERT INTO words VALUES {rows}", owner=owner)
    expected = {"a": {}, "b": {"meaning": None, "place": ""}, "c": {"meaning": "null", "place": "null"}}
    assert content(engine, component, owner) == expected
    before = rows_as_text(engine, "words", "owner", owner)
    with engine.connect() as connection:
        target = captured(connection, component, owner)
    for spoil in (
        "UPDATE words SET meaning = 'null', place = NULL",
        "UPDATE words SET meaning = NULL, place = ''",
        "DELETE FROM words",
    ):
        run(engine, spoil)
        restored(engine, component, owner, target)
        assert rows_as_text(engine, "words", "owner", owner) == before


def test_without_rows_there_is_no_content_and_restoring_that_removes_all(engine: Engine) -> None:
    table(engine, "words (owner uuid, word text, meaning text)")
    owner, other = uuid4(), uuid4()
    assert content(engine, words(), owner) is None
    run(engine, "INSERT INTO words VALUES (:owner, 'a', 'A'), (:other, 'a', 'A')", owner=owner, other=other)
    restored(engine, words(), owner, None)
    assert content(engine, words(), owner) is None
    assert content(engine, words(), other) == {"a": {"meaning": "A"}}


def test_keys_of_several_columns_cannot_be_mistaken_for_each_other(engine: Engine) -> None:
    table(engine, "words (owner uuid, one text, two jsonb, meaning int)")
    component, owner = words(key=("one", "two")), uuid4()
    keys: Sequence[tuple[str | None, str | None]] = [
        ("a", None), ("a", "null"), ("a", '"null"'), (None, "1"),
        ("null", "1"), ("1", '"1"'), ('a", "b', "[]"), ("", "{}"),
    ]  # fmt: skip
    for place, (one, two) in enumerate(keys):
        insert = "INSERT INTO words VALUES (:owner, :one, CAST(:two AS jsonb), :place)"
        run(engine, insert, owner=owner, one=one, two=two, place=place)
    before = rows_as_text(engine, "words", "owner", owner)
    with engine.connect() as connection:
        target = captured(connection, component, owner)
    assert target is not None
    assert len(parsed(target)) == len(keys)
    run(engine, "UPDATE words SET meaning = meaning + 100 WHERE meaning % 2 = 0; DELETE FROM words WHERE meaning < 9")
    restored(engine, component, owner, target)
    assert rows_as_text(engine, "words", "owner", owner) == before


HOSTILE = ['a"b', "a :toolset_id", "%s %(x)s", "{pinned}{}", "it's", "a\\:b\\", "naïve 😀", "SELECT", "target", "live"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_and_its_columns_may_have_any_name(engine: Engine, name: str) -> None:
    def quoted(part: str) -> str:
        return '"' + part.replace('"', '""') + '"'

    owner, columns = uuid4(), [f"{part}{name}"[:40] for part in ("", "1", "2", "3", "4")]
    listed = ", ".join(f"{quoted(column)} {kind}" for column, kind in zip(columns, COLUMN_TYPES, strict=True))
    with engine.begin() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.execute(f"CREATE SCHEMA {quoted(name)}")
        driver.execute(f"CREATE TABLE {quoted(name)}.{quoted(name)} ({listed})")
        driver.execute(f"INSERT INTO {quoted(name)}.{quoted(name)} VALUES ('{owner}', 'k', 'v', NULL, 1)")
    schema = (name, name)
    component = words(
        table=schema, scope_column=columns[0], key=(columns[1], columns[4]), values=(columns[2],), deleted_at=columns[3]
    )
    found = content(engine, component, owner)
    assert found == {'["k", 1]': {columns[2]: "v"}}
    with engine.begin() as connection:
        target = captured(connection, component, owner)
        for state in (None, '{"[\\"k\\", 1]": {}}', target):
            restore(connection, component, owner, state)
    assert content(engine, component, owner) == found


COLUMN_TYPES = ("uuid", "text", "text", "timestamptz", "int")


@pytest.mark.parametrize(
    ("definition", "component", "reason"),
    [
        (
            "words (owner uuid, word text, meaning text GENERATED ALWAYS AS (upper(word)) STORED)",
            words(),
            "column meaning is generated and cannot be listed",
        ),
        (
            "words (owner uuid, base text, word text GENERATED ALWAYS AS (upper(base)) STORED, meaning text)",
            words(),
            "column word is generated and cannot be listed",
        ),
        (
            "words (owner uuid, word text, meaning int GENERATED ALWAYS AS IDENTITY)",
            words(),
            "column meaning is GENERATED ALWAYS AS IDENTITY and can only be in the key",
        ),
        ("words (owner uuid, word text)", words(), "meaning"),
        ("others (owner uuid, word text)", words(), '"words" does not exist'),
        ("words (owner text, word text, meaning text)", words(), "operator does not exist: text = uuid"),
    ],
)
def test_a_table_that_cannot_be_restored_is_not_captured(
    engine: Engine, definition: str, component: UnlinkedTableComponent, reason: str
) -> None:
    table(engine, definition)
    billing = a_full_toolset(engine)
    assert reason in failure(engine, billing, component).details["reason"]


@pytest.mark.parametrize("column", ["uuid", "uuid REFERENCES projects"])
def test_a_table_without_a_foreign_key_to_its_owner_is_not_captured_as_one_with(engine: Engine, column: str) -> None:
    table(engine, f"words (owner {column}, word text, meaning text)")
    linked = TableComponent(
        name="words", table="words", key="word", scope="toolset", scope_column="owner", values=("meaning",)
    )
    assert (
        "column owner has no foreign key to toolsets"
        in failure(engine, a_full_toolset(engine), linked).details["reason"]
    )


@pytest.mark.parametrize(("rows", "reason"), [("'a', 'a', 'b'", "two rows have the key a"), ("NULL", "null")])
def test_rows_that_the_key_does_not_tell_apart_are_not_captured(engine: Engine, rows: str, reason: str) -> None:
    table(engine, "words (owner uuid, word text, meaning text)")
    billing = a_full_toolset(engine)
    run(engine, f"INSERT INTO words SELECT :owner, unnest(ARRAY[{rows}]::text[]), 'x'", owner=billing.id)
    assert reason in failure(engine, billing, words()).details["reason"]


def failure(engine: Engine, billing: Toolset, component: UnlinkedTableComponent) -> ComponentFailed:
    done = mailbox(engine, registry=with_plug_ins(component)).work_until_done(ask(engine, billing))
    with pytest.raises(ComponentFailed) as failed:
        done.answer()
    assert failed.value.details["component"] == component.name
    return failed.value


def test_a_column_that_is_gone_is_named_when_an_older_release_is_restored(engine: Engine) -> None:
    table(engine, "words (owner uuid, word text)")
    with pytest.raises(ComponentFailed, match="component words failed: there is no column meaning"):
        restored(engine, words(), uuid4(), "{}")


def test_a_table_is_released_compared_and_rolled_back(engine: Engine) -> None:
    table(engine, "words (owner uuid, word text, meaning numeric, PRIMARY KEY (owner, word))")
    billing, registry = a_full_toolset(engine), with_plug_ins(words())
    run(engine, "INSERT INTO words VALUES (:owner, 'a', 1.50), (:owner, 'b', 2)", owner=billing.id)
    before = rows_as_text(engine, "words", "owner", billing.id)
    release(engine, billing, registry=registry)
    run(engine, "UPDATE words SET word = 'c' WHERE word = 'b'; UPDATE words SET meaning = 1e-30 WHERE word = 'a'")
    changes = drift(engine, billing, registry=registry).changes["words"].model_dump()
    assert (changes["added"], changes["removed"]) == (("c",), ("b",))
    assert [change["key"] for change in changes["changed"]] == ["a"]
    roll_back(engine, billing, 1, registry=registry)
    assert rows_as_text(engine, "words", "owner", billing.id) == before
    assert not drift(engine, billing, registry=registry).drifted


@dataclass(frozen=True, kw_only=True)
class Added(UnlinkedTableComponent):
    """Before the first restore, another app adds a row that the plan has not seen."""

    add: Once

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        self.add()
        UnlinkedTableComponent.restore(self, connection, target, parameters)


def test_a_row_that_is_added_during_a_rollback_is_not_lost_without_a_foreign_key(engine: Engine) -> None:
    table(engine, "words (owner uuid, word text, meaning text)")
    billing = a_full_toolset(engine)
    insert = "INSERT INTO words (owner, word) VALUES (:owner, :word)"
    add = Once(lambda: run(engine, insert, owner=billing.id, word="added"))
    added = Added(
        name="words", table="words", key="word", scope="toolset", scope_column="owner", values=("meaning",), add=add
    )
    registry = with_plug_ins(added)
    release(engine, billing, registry=registry)
    run(engine, insert, owner=billing.id, word="unreleased")
    done = roll_back(engine, billing, 1, attempts=2, registry=registry)
    assert content(engine, words(), billing.id) is None
    assert done.changes["words"].removed == ("added", "unreleased")
    assert done.backup_release_number is not None
    roll_back(engine, billing, done.backup_release_number, registry=registry)
    assert content(engine, words(), billing.id) == {"added": {}, "unreleased": {}}
