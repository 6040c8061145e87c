"""Let a transaction stand still before any of its statements and commits."""

from threading import Event
from time import monotonic
from typing import Any

from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event

LONGEST = 60.0  # seconds that anything here may take


class Stops:
    """Counts the moments of what runs on an engine, from 0, and stands still at one of them until it may go on.

    A moment is that before a statement, and that before a commit; after a commit comes the next statement, or nothing.
    """

    def __init__(self, engine: Engine) -> None:
        self.passed: list[str] = []
        self.commits: list[float] = []  # when each began
        self.reached = Event()
        self._go_on = Event()
        self._stop: int | None = None
        event.listen(engine, "before_cursor_execute", self._before)
        dialect: Any = engine.dialect
        self._really_commit = dialect.do_commit
        dialect.do_commit = self._commit

    def begin(self, stop: int | None = None) -> None:
        """Count anew, and stand still at this moment, or never."""
        self.passed, self.commits, self._stop = [], [], stop
        self.reached.clear()
        self._go_on.clear()

    def go_on(self) -> None:
        self._go_on.set()

    def _before(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._moment(shortened(statement))

    def _commit(self, dbapi_connection: Any) -> None:
        if dbapi_connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self._really_commit(dbapi_connection)
            return
        self._moment("COMMIT")
        self.commits.append(monotonic())
        self._really_commit(dbapi_connection)

    def _moment(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) - 1 == self._stop:
            self.reached.set()
            if not self._go_on.wait(LONGEST):
                raise TimeoutError(f"nobody let it go on: {name}")


def shortened(statement: str) -> str:
    return " ".join(statement.split())[:100]
