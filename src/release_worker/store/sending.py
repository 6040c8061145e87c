"""Statements that need no answer are sent, and not waited for.

PostgreSQL carries them out one after the other, in the order in which they were sent, and says what became of them with
the answer of the next statement that is executed. After one that it refuses it carries out none; the refusal is raised
where the answer was waited for, or where another statement is sent. See decision 42.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from functools import lru_cache
from typing import Any

import psycopg
from packaging.version import Version
from sqlalchemy import Connection, Dialect, Engine, ExceptionContext, event

from release_worker.store.statements import parsed

# An option of a connection: whoever began its transaction settles before the commit.
TOGETHER = "release_worker_together"
# An option of an execution: the statement needs no answer.
_SENT = "release_worker_sent"
_UNANSWERED: Mapping[str, Any] = {_SENT: True}
# `Pipeline.result_queue` is psycopg's own affair: with versions that were not tried, every statement is waited for.
_TRIED = Version(psycopg.__version__) < Version("3.4.dev0")
# What is open while the connection has statements that nobody has waited for: libpq's pipeline mode.
_PIPELINE = "release_worker_pipeline"


def send(connection: Connection, statement: str, parameters: Mapping[str, Any]) -> None:
    """Send a statement of ours whose answer nobody needs. It is waited for outside of our own transactions."""
    if not (_TRIED and TOGETHER in connection.get_execution_options()):
        connection.execute(parsed(statement), parameters)
        return
    if _PIPELINE not in connection.info:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        begun = driver.pipeline()
        connection.info[_PIPELINE] = begun, begun.__enter__()
    # Past SQLAlchemy's preparations for rows, which take a quarter of the time; its events are told as always.
    connection.exec_driver_sql(_of_driver(statement, connection.dialect), parameters, execution_options=_UNANSWERED)
    _, pipeline = connection.info[_PIPELINE]
    _synchronise(pipeline)


def _synchronise(pipeline: psycopg.Pipeline) -> None:
    """A session is idle in its transaction, and is ended if it stays so, after a synchronisation only: a worker that is
    stopped, or whose host is lost, would keep its locks otherwise. `Pipeline.sync` would wait for the answer."""
    pipeline.result_queue.append(None)
    pipeline.pgconn.pipeline_sync()


def settle(connection: Connection) -> None:
    """Wait for what was sent: before a commit, and before statements of others, who would be blamed for what ours
    meet."""
    if _PIPELINE in connection.info:
        connection.exec_driver_sql("SELECT")


def answer_what_was_sent(engine: Engine) -> None:
    """From now on, statements of this engine that are executed wait for those that were sent before them.

    SQLAlchemy looks for rows as soon as a cursor has executed, and there are none before pipeline mode is left. What
    is raised there, it makes an error of its own.
    """

    def executed(
        connection: Connection, _cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool
    ) -> None:
        if _SENT not in context.execution_options:
            _leave(connection)

    def refused(context: ExceptionContext) -> None:
        # Nobody waits for what goes on after an interruption: it is cancelled with the transaction.
        if context.connection is not None and isinstance(context.original_exception, psycopg.Error):
            with suppress(psycopg.Error):
                _leave(context.connection)

    event.listen(engine, "after_cursor_execute", executed)
    event.listen(engine, "handle_error", refused)


def abandon(connection: Connection) -> None:
    """Close a connection with all that was sent; nobody waits for it any more."""
    begun, _ = connection.info.pop(_PIPELINE, (None, None))
    connection.invalidate()
    if begun is not None:
        with suppress(psycopg.Error):  # it would be logged later
            begun.__exit__(None, None, None)


def _leave(connection: Connection) -> None:
    begun: AbstractContextManager[object] | None
    begun, _ = connection.info.pop(_PIPELINE, (None, None))
    if begun is None:
        return
    try:
        begun.__exit__(None, None, None)
    except psycopg.Error as error:
        raise _first(error) from None


def _first(error: psycopg.Error) -> BaseException:
    """What is to be known: the refusal after which PostgreSQL refused everything, or what interrupted the wait, after
    which libpq cannot leave its mode."""
    first: BaseException = error
    while isinstance(first, psycopg.Error) and first.__context__ is not None:
        first = first.__context__
    return first


@lru_cache(maxsize=512)
def _of_driver(statement: str, dialect: Dialect) -> str:
    """The statement with its parameters in psycopg's words."""
    return str(parsed(statement).compile(dialect=dialect))
