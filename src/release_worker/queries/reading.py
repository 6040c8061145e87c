"""A connection for those who only look."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from release_worker.store.engine import ledger_transaction, make_engine, snapshot_transaction


@contextmanager
def reading(database_url: str) -> Iterator[Connection]:
    """One short transaction on a connection of its own. Raises NotConfigured and DatabaseUnavailable."""
    engine = make_engine(database_url, application_name="release-worker")
    try:
        with ledger_transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def reading_one_moment(database_url: str) -> Iterator[Connection]:
    """As `reading`, and every statement sees the state of the same moment."""
    engine = make_engine(database_url, application_name="release-worker")
    try:
        with snapshot_transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()
