"""What a client has opened, for each process by itself.

A child that was forked from a process with connections must not use them: what both send would mix, and so would the
answers. A child keeps what it inherits and never closes it, because closing a connection sends something, too.
"""

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from release_worker.broker.address import Broker
from release_worker.broker.producer import close_app, make_app
from release_worker.errors import DatabaseUnavailable
from release_worker.extras import require
from release_worker.tracing.choosing import tracing_of_caller

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from release_worker.settings import Settings

T = TypeVar("T")


def twice(work: Callable[[], T]) -> T:
    """Do the work, and once more if that raises DatabaseUnavailable: a connection may have died in the pool, or it may
    have lost a prepared statement behind a pooler."""
    try:
        return work()
    except DatabaseUnavailable:
        return work()


class Connections:
    """The connections of one process: to the broker and the result backend, and to PostgreSQL once it is needed."""

    def __init__(self, settings: "Settings") -> None:
        """Opens nothing. Raises NotConfigured for servers that cannot be used, and for what is not installed."""
        if settings.database_url is not None:
            require("database", "a client with a database")
        self._settings = settings
        self._making = threading.Lock()
        self._engine: Engine | None = None
        # A client that has the ledger needs no backend, and does not fail with one.
        self.app = make_app(Broker.of(settings), None if settings.database_url is not None else settings.result_backend)

    def engine(self) -> "Engine":
        """Raises NotConfigured if the database is not set."""
        with self._making:
            if self._engine is None:
                database = self._settings.database
                from release_worker.store.engine import make_engine

                self._engine = make_engine(
                    database,
                    application_name="release_worker client",
                    prepared_statements=self._settings.prepared_statements,
                )
                tracing_of_caller().watch(self._engine)
        return self._engine

    def close(self) -> None:
        """Close what was opened."""
        close_app(self.app)
        if self._engine is not None:
            self._engine.dispose()


class ConnectionsByProcess:
    """Gives each process its own."""

    def __init__(self, settings: "Settings") -> None:
        """Raises NotConfigured, as `Connections` does."""
        self._settings = settings
        self._made = {os.getpid(): Connections(settings)}

    def own(self) -> Connections:
        """This process's: made at the first call in it."""
        found = self._made.get(os.getpid())
        # Without a lock: another thread may have held it at the fork. If two are made, all threads use the first.
        return found if found is not None else self._made.setdefault(os.getpid(), Connections(self._settings))

    def close(self) -> None:
        """Close this process's; whoever asks again gets new ones."""
        opened = self._made.pop(os.getpid(), None)
        if opened is not None:
            opened.close()
