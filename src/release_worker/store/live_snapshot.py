"""A snapshot of live state, also of tables that an app moves to other files meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from release_worker.store.engine import snapshot_transaction
from release_worker.store.tables.live import LIVE_TABLES

# To a snapshot that is older than its lock, a table that somebody has rewritten or truncated is empty:
# https://www.postgresql.org/docs/current/mvcc-caveats.html. Before the snapshot, the locks:
# https://www.postgresql.org/docs/current/sql-lock.html
_LOCKS = f"LOCK TABLE {', '.join(f'ours.{table.name}' for table in LIVE_TABLES)} IN ACCESS SHARE MODE"


@contextmanager
def live_snapshot_transaction(engine: Engine) -> Iterator[Connection]:
    """A `snapshot_transaction` for operations that read live state.

    Commits at the end, rolls back on an error. Raises VersionConflict, also for a table that is not free, and
    DatabaseUnavailable.
    """
    with snapshot_transaction(engine, before=_LOCKS) as connection:
        yield connection
