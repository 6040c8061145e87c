"""A snapshot of live state, also of tables that an app moves to other files meanwhile."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from release_worker.store.engine import snapshot_transaction

# By name: a client does not load their definitions, which need a newer SQLAlchemy than it does.
# Where a toolset is found:
_NAMING = ("organizations", "projects", "toolsets")
LIVE_TABLES = (
    *_NAMING,
    *("deployments", "deployment_assets", "tool_definitions", "resource_definitions"),
    *("toolset_tools", "toolset_resources", "prompt_templates", "system_configs", "variations"),
)


# To a snapshot that is older than its lock, a table that somebody has rewritten or truncated is empty:
# https://www.postgresql.org/docs/current/mvcc-caveats.html. Before the snapshot, the locks:
# https://www.postgresql.org/docs/current/sql-lock.html
def _locks(tables: Iterable[str]) -> str:
    return f"LOCK TABLE {', '.join(f'ours.{table}' for table in tables)} IN ACCESS SHARE MODE"


_LIVE = _locks(LIVE_TABLES)
_NAMES = _locks(_NAMING)


@contextmanager
def live_snapshot_transaction(engine: Engine) -> Iterator[Connection]:
    """A `snapshot_transaction` for operations that read live state.

    Commits at the end, rolls back on an error. Raises VersionConflict, also for a table that is not free, and
    DatabaseUnavailable.
    """
    with snapshot_transaction(engine, before=_LIVE) as connection:
        yield connection


@contextmanager
def records_snapshot_transaction(engine: Engine) -> Iterator[Connection]:
    """As `live_snapshot_transaction`, for operations that read records of a toolset alone: they may take long, and are
    in nobody's way who alters another table of live state."""
    with snapshot_transaction(engine, before=_NAMES) as connection:
        yield connection
