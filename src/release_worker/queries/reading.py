"""A connection for those who only look."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine

from release_worker.domain.database import Database
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.store.live_snapshot import live_snapshot_transaction, records_snapshot_transaction


def reading(database: Database | str) -> AbstractContextManager[Connection]:
    """One short transaction on a connection of its own. Raises NotConfigured and DatabaseUnavailable."""
    return _connected(database, ledger_transaction)


def reading_one_moment(database: Database | str) -> AbstractContextManager[Connection]:
    """As `reading`, and every statement sees the state of the same moment."""
    return _connected(database, live_snapshot_transaction)


def reading_records(database: Database | str) -> AbstractContextManager[Connection]:
    """As `reading_one_moment`, for who reads releases and no live state."""
    return _connected(database, records_snapshot_transaction)


@contextmanager
def _connected(
    database: Database | str, transaction: Callable[[Engine], AbstractContextManager[Connection]]
) -> Iterator[Connection]:
    engine = make_engine(database, application_name="release-worker")
    try:
        with transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()
