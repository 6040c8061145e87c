"""The schema's history, and the functions that move a database along it."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from release_worker.migrations import objects
from release_worker.store.schema_version import VERSION_TABLE as VERSION_TABLE
from release_worker.store.tables import metadata


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema to `revision`; each migration commits by itself."""
    command.upgrade(_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take the schema back to `revision`; `base` removes all of it."""
    command.downgrade(_config(connection), revision)


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None if there is no schema yet."""
    return MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()


def head_revision() -> str:
    """The newest revision that this package knows."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    assert head is not None
    return head


def knows(revision: str) -> bool:
    """Whether the revision is one of this package's."""
    return any(script.revision == revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions())


def differences(connection: Connection) -> list[object]:
    """How the database differs from what the code has: Alembic's tuples for tables, then sentences about functions and
    triggers. Empty if they agree."""
    context = MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "include_name": _is_ours, "compare_type": True}
    )
    return [*compare_metadata(context, metadata), *objects.without(connection)]


def grants() -> str:
    """SQL that gives the apps, the worker and readers what each needs and nothing else."""
    return (Path(__file__).parent / "grants.sql").read_text(encoding="utf-8")


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or name in metadata.tables


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
