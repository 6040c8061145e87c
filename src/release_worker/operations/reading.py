"""A connection for those who only look, and the database's refusals in words that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, exc

from release_worker.errors import NotConfigured
from release_worker.store.engine import SETTING, ledger_transaction, make_engine

# Of undefined tables, columns, functions and schemas: https://www.postgresql.org/docs/current/errcodes-appendix.html
_NOT_OUR_SCHEMA = ("42P01", "42703", "42883", "3F000")
_NOT_ALLOWED = "42501"


@contextmanager
def reading(database_url: str) -> Iterator[Connection]:
    """One short transaction on a connection of its own. Raises NotConfigured and DatabaseUnavailable."""
    with explained():
        engine = make_engine(database_url, application_name="release-worker")
        try:
            with ledger_transaction(engine) as connection:
                yield connection
        finally:
            engine.dispose()


@contextmanager
def explained() -> Iterator[None]:
    """Turn what says that this is no database of ours into NotConfigured: the schema or the user's rights."""
    try:
        yield
    except exc.ProgrammingError as error:
        state: str | None = getattr(error.orig, "sqlstate", None)
        reason = str(error.orig).partition("\n")[0]
        if state in _NOT_OUR_SCHEMA:
            message = (
                f"the database does not have the tables of this version ({reason}): run `release-worker db upgrade`"
            )
        elif state == _NOT_ALLOWED:
            message = f"the database's user lacks a right: {reason}"
        else:
            raise
        raise NotConfigured(message, setting=SETTING) from error
