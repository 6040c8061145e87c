"""The check that `make check` runs finds what the migrations do not build as the code believes."""

from sqlalchemy import Column, Connection, Integer, Table

from release_worker import migrations
from release_worker.store.tables import metadata
from tests.alembic_check import problems


def test_there_is_nothing_to_find(empty: Connection) -> None:
    migrations.upgrade(empty)
    assert problems(empty) == []


def test_a_table_that_no_migration_builds_is_found(empty: Connection) -> None:
    migrations.upgrade(empty)
    forgotten = Table("forgotten", metadata, Column("id", Integer, primary_key=True))
    try:
        [problem] = problems(empty)
    finally:
        metadata.remove(forgotten)
    assert "forgotten" in problem
