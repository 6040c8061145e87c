"""The database itself refuses to change release records; of a release, notes and labels may change."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from tests.support.billing import a_full_toolset
from tests.support.operations import release
from tests.support.records import RECORDS, insert_mark, insert_plug_in_state, whole_database

RESTRICT_VIOLATION = "23001"


@pytest.fixture
def recorded(engine: Engine) -> Iterator[Engine]:
    """A database with a row in every table of records, of which nothing is written while the test runs."""
    billing = a_full_toolset(engine)
    release(engine, billing, notes="first", labels={"build": 7})
    insert_plug_in_state(engine, billing, 1)
    insert_mark(engine, billing, 1)
    before = whole_database(engine)
    yield engine
    assert whole_database(engine) == before


def refusal(engine: Engine, statement: str) -> str | None:
    """The SQLSTATE with which a statement is refused."""
    with pytest.raises(DBAPIError) as refused, engine.begin() as connection:
        connection.execute(text(statement))
    return getattr(refused.value.orig, "sqlstate", None)


def columns_of(engine: Engine, table: str) -> set[str]:
    query = text("SELECT column_name FROM information_schema.columns WHERE table_name = :table")
    with engine.connect() as connection:
        return set(connection.execute(query, {"table": table}).scalars())


@pytest.mark.parametrize("table", [table for table in RECORDS if table != "toolset_releases"])
def test_a_record_cannot_be_updated_even_to_what_it_is(recorded: Engine, table: str) -> None:
    for column in columns_of(recorded, table):
        assert refusal(recorded, f"UPDATE {table} SET {column} = {column}") == RESTRICT_VIOLATION


def test_no_column_of_a_release_but_notes_and_labels_can_be_changed(recorded: Engine) -> None:
    other_values = {
        "release_number": "99",
        "kind": "'backup'",
        "digest": "'other'",
        "released_by": "'other'",
        "request_id": "'other'",
        "created_at": "created_at - interval '1 second'",
    }
    fixed = columns_of(recorded, "toolset_releases") - {"notes", "labels"}
    assert other_values.keys() < fixed
    for column in fixed:
        other = other_values.get(column, f"CASE WHEN {column} IS NULL THEN gen_random_uuid() END")
        assert refusal(recorded, f"UPDATE toolset_releases SET {column} = {other}") == RESTRICT_VIOLATION


@pytest.mark.parametrize("table", RECORDS)
def test_a_record_cannot_be_deleted(recorded: Engine, table: str) -> None:
    assert refusal(recorded, f"DELETE FROM {table}") == RESTRICT_VIOLATION


@pytest.mark.parametrize("table", [*RECORDS, "toolsets", "organizations"])
def test_records_cannot_be_truncated_not_even_by_cascade(recorded: Engine, table: str) -> None:
    assert refusal(recorded, f"TRUNCATE {table} CASCADE") == RESTRICT_VIOLATION


def test_records_cannot_be_updated_by_an_upsert(recorded: Engine) -> None:
    upsert = """
        INSERT INTO toolset_releases (toolset_id, release_number, toolset_version_id, digest, released_by)
        SELECT toolset_id, release_number, toolset_version_id, 'x', 'x' FROM toolset_releases
        ON CONFLICT (toolset_id, release_number) DO UPDATE SET digest = 'x'
    """
    assert refusal(recorded, upsert) == RESTRICT_VIOLATION


def test_notes_and_labels_of_a_release_can_be_changed(engine: Engine) -> None:
    release(engine, a_full_toolset(engine), notes="first", labels={"build": 7})
    with engine.begin() as connection:
        connection.execute(text("""UPDATE toolset_releases SET notes = NULL, labels = '{"good": true}'"""))
    with engine.connect() as connection:
        row = connection.execute(text("SELECT notes, labels FROM toolset_releases")).one()
    assert tuple(row) == (None, {"good": True})


def test_notes_cannot_be_changed_together_with_anything_else(recorded: Engine) -> None:
    assert refusal(recorded, "UPDATE toolset_releases SET notes = 'x', released_by = 'x'") == RESTRICT_VIOLATION


def test_a_transaction_that_prunes_may_delete_and_mend_the_chain_but_not_edit_or_truncate(recorded: Engine) -> None:
    for statement in (
        "UPDATE toolset_releases SET digest = 'other'",
        "UPDATE toolset_releases SET release_number = 99",
        "UPDATE toolset_versions SET settings = '{}', predecessor_id = NULL",
        "UPDATE source_states SET system_snapshot = '{}'",
        "UPDATE variation_versions SET config = '{}'",
        "TRUNCATE toolset_releases CASCADE",
    ):
        assert refusal(recorded, f"SET LOCAL release_worker.pruning = 'on'; {statement}") == RESTRICT_VIOLATION
