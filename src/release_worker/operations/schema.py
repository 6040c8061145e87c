"""Bring the database's schema to this version, or say how it differs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection

from release_worker import migrations
from release_worker.domain.database import Database, in_sql
from release_worker.errors import NotConfigured
from release_worker.store.conflicts import translated
from release_worker.store.engine import SETTING, make_engine

OWN_SCHEMA = "Set RELEASE_WORKER_SCHEMA to a schema that has none of these names."


@dataclass(frozen=True, slots=True)
class SchemaUpgrade:
    """The revisions before and after; None if there was no schema. `newer`: it is one that this version does not know,
    and was left alone."""

    before: str | None
    after: str
    newer: bool = False


@dataclass(frozen=True, slots=True)
class SchemaState:
    """What the database has and what this version needs. `differences` is empty if the revisions already differ.

    `in_the_way` is a sentence about tables of our names that are somebody else's, if there are any. `elsewhere`: the
    schemas that have tables of ours, if this one has none. `newer`: the revision is one that this version does not
    know."""

    revision: str | None
    needed: str
    differences: tuple[str, ...]
    in_the_way: str | None = None
    elsewhere: tuple[str, ...] = ()
    newer: bool = False

    @property
    def ok(self) -> bool:
        """A worker goes on beside a newer schema, which only adds to what it uses."""
        return self.newer or (self.revision == self.needed and not self.differences)


class SchemaAge(Enum):
    """The database's schema beside the one that this version makes. NEWER is one that this version does not know."""

    MISSING = auto()
    OLDER = auto()
    SAME = auto()
    NEWER = auto()


def upgrade_schema(database: Database | str, *, beside_another: bool = False) -> SchemaUpgrade:
    """Apply the migrations that are missing. Does nothing to a schema that is newer than this version.

    Raises NotConfigured, also if it would make tables while another schema of the database has some, unless
    `beside_another`; DatabaseUnavailable and VersionConflict.
    """
    database = Database.of(database)
    with _connected(database) as connection:
        before = migrations.current_revision(connection, schema=database.schema)
        if before is None:
            if not beside_another:
                _refuse_a_second_set(connection, database.schema)
            _refuse_what_is_not_ours(connection, database.schema)
        elif not migrations.knows(before):
            return SchemaUpgrade(before, before, newer=True)
        connection.rollback()
        migrations.upgrade(connection, schema=database.schema)
        return SchemaUpgrade(before, migrations.head_revision())


def _refuse_a_second_set(connection: Connection, schema: str) -> None:
    """Whoever forgot the setting would get an empty deployment, and look there for what they have."""
    found = migrations.objects.schemas_with_ours(connection)
    if found:
        raise NotConfigured(
            f"{are_elsewhere(found, schema)}. Set it to that schema; or `db upgrade --beside-another` makes a second, "
            "empty set. Nothing was changed.",
            setting="RELEASE_WORKER_SCHEMA",
            found=found,
        )


def are_elsewhere(found: Sequence[str], schema: str) -> str:
    """Where the tables are, and where they were looked for, in words."""
    where = " and ".join(in_sql(one) for one in found)
    return f"release-worker's tables are in schema {where} of this database, and RELEASE_WORKER_SCHEMA is {schema}"


def _refuse_what_is_not_ours(connection: Connection, schema: str) -> None:
    """A migration would stop half-way at a name that is taken, or replace what an app has."""
    found = migrations.objects.taken(connection, schema)
    if found:
        raise NotConfigured(f"{_in_the_way(found)} Nothing was changed.", setting=SETTING, found=found)


def _in_the_way(found: list[str]) -> str:
    article = "an" if found[0].startswith("index") else "a"
    others = f", and {len(found) - 1} more," if len(found) > 1 else ""
    already = f"this database already has {article} {found[0]}{others} that release-worker did not make."
    return f"{already} {OWN_SCHEMA}"


def grant_privileges(database: Database | str) -> None:
    """Make the roles of `db grants`, and give each what it needs. Raises NotConfigured and DatabaseUnavailable."""
    database = Database.of(database)
    with _connected(database) as connection:
        connection.exec_driver_sql(migrations.grants(database.schema), execution_options={"no_parameters": True})
        connection.commit()


def check_schema(database: Database | str) -> SchemaState:
    """Compare the database with the tables that this version uses. Raises NotConfigured and DatabaseUnavailable."""
    database = Database.of(database)
    schema = database.schema
    with _connected(database) as connection:
        revision, needed = migrations.current_revision(connection, schema=schema), migrations.head_revision()
        found = migrations.differences(connection, schema=schema) if revision == needed else []
        others = migrations.objects.taken(connection, schema) if revision is None else []
        elsewhere = tuple(migrations.objects.schemas_with_ours(connection)) if revision is None else ()
    return SchemaState(
        revision,
        needed,
        differences=tuple(_described(difference) for difference in found),
        in_the_way=_in_the_way(others) if others else None,
        elsewhere=elsewhere,
        newer=revision is not None and not migrations.knows(revision),
    )


def schema_age(database: Database | str) -> SchemaAge:
    """Whether the database has this version's schema, by its revision alone. Raises NotConfigured and
    DatabaseUnavailable."""
    database = Database.of(database)
    with _connected(database) as connection:
        revision = migrations.current_revision(connection, schema=database.schema)
    if revision is None:
        return SchemaAge.MISSING
    if revision == migrations.head_revision():
        return SchemaAge.SAME
    return SchemaAge.OLDER if migrations.knows(revision) else SchemaAge.NEWER


@contextmanager
def _connected(database: Database | str) -> Iterator[Connection]:
    with translated():
        engine = make_engine(database, application_name="release-worker db", prepared_statements=False)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def _described(difference: Any) -> str:
    """A sentence as it is; one of Alembic's tuples, such as `("remove_index", Index(…))`, or its list of changes to one
    column, in words."""
    if isinstance(difference, str):
        return difference
    if isinstance(difference, list):
        return "; ".join(_described(one) for one in difference)
    action, *things = difference
    names = [
        str(getattr(thing, "name", thing)) for thing in things if thing is not None and not isinstance(thing, dict)
    ]
    match action, names:
        case "add_table", [table]:
            return f"table {table} is missing"
        case "add_column", [table, column]:
            return f"column {column} of table {table} is missing"
        case "remove_column", [table, column]:
            return f"column {column} of table {table} is not of release-worker"
        case _:
            return f"{action.replace('_', ' ')} {' '.join(names)}"
