"""The schema's history, and the functions that move a database along it."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from release_worker.domain.database import PUBLIC, in_sql
from release_worker.migrations import objects
from release_worker.store.schema_version import VERSION_TABLE as VERSION_TABLE
from release_worker.store.statements import in_schema
from release_worker.store.tables import metadata

_IS_THERE = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = :schema)"


def upgrade(connection: Connection, revision: str = "head", *, schema: str = PUBLIC) -> None:
    """Bring the schema to `revision`, and make it if it is not there; each migration commits by itself."""
    if not connection.execute(text(_IS_THERE), {"schema": schema}).scalar_one():
        connection.exec_driver_sql(f"CREATE SCHEMA {in_sql(schema)}")
        connection.commit()
    command.upgrade(_config(connection, schema), revision)


def downgrade(connection: Connection, revision: str, *, schema: str = PUBLIC) -> None:
    """Take the schema back to `revision`; `base` removes all that is ours from it."""
    command.downgrade(_config(connection, schema), revision)


def current_revision(connection: Connection, *, schema: str = PUBLIC) -> str | None:
    """The revision that the schema is at; None if nothing of ours is there yet."""
    return MigrationContext.configure(connection, opts=_version_table(schema)).get_current_revision()


def head_revision() -> str:
    """The newest revision that this package knows."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def knows(revision: str) -> bool:
    """Whether the revision is one of this package's."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def differences(connection: Connection, *, schema: str = PUBLIC) -> list[object]:
    """How the schema differs from what the code has: Alembic's tuples for tables, then sentences about functions and
    triggers. Empty if they agree. Leaves the connection in a transaction whose `search_path` is the schema."""
    connection.exec_driver_sql(f"SET LOCAL search_path = {in_sql(schema)}")
    options = {**_version_table(schema), "include_name": _is_ours, "compare_type": True}
    context = MigrationContext.configure(connection, opts=options)
    return [*compare_metadata(context, metadata), *objects.without(connection, schema)]


def grants(schema: str = PUBLIC) -> str:
    """SQL that gives the apps, the worker and readers what each needs and nothing else."""
    script = (Path(__file__).parent / "grants.sql").read_text(encoding="utf-8")
    return in_schema(script, in_sql(schema)).replace("SCHEMA ours\n", f"SCHEMA {in_sql(schema)}\n")


def _version_table(schema: str) -> dict[str, object]:
    return {"version_table": VERSION_TABLE, "version_table_schema": schema}


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or name in metadata.tables


def _config(connection: Connection | None = None, schema: str = PUBLIC) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema)
    return config
