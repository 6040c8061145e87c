"""Let a worker die at any statement: in this process, where its connection is cut, or in one of its own.

    python -m tests.support.kill_points DATABASE_URL REQUEST_ID POINT

works a request and ends with `os._exit` at the point of that number.
"""

import os
import sys
from typing import Any

from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event, text

from release_worker.embedded.process import eventually
from release_worker.store.engine import make_engine
from tests.support.ledger import mailbox

STATUS = 86


class Killed(BaseException):
    """The end of a worker; nothing may handle it."""


class KillSwitch:
    """Counts the moments at which a worker with this engine may die, and lets it die at one of them.

    They are those before and after each statement and each commit, also where a statement is a transaction of its own.
    `passed` names them. When its moment comes, the
    connection is closed without another word, and whatever is tried on the engine from then on ends the worker again.
    The moment after a statement and that before the next one are the same to the database; without `every` only the
    latter counts.
    """

    def __init__(self, engine: Engine, *, every: bool = True, exit_process: bool = False) -> None:
        self.passed: list[str] = []  # of the worker that was armed last
        self.dead = False
        self._fatal: int | None = None
        self._backend: int | None = None  # of the worker that died last
        self._armed = False
        self._exit_process = exit_process
        self._every = every
        event.listen(engine, "before_cursor_execute", self._before)
        event.listen(engine, "after_cursor_execute", self._after)
        dialect: Any = engine.dialect
        self._really_commit, self._really_roll_back = dialect.do_commit, dialect.do_rollback
        dialect.do_commit, dialect.do_rollback = self._commit, self._roll_back

    def arm(self, fatal: int | None) -> None:
        """Start anew; die at this moment, counted from 0, or never."""
        self.passed, self.dead, self._fatal, self._armed = [], False, fatal, True

    def disarm(self) -> None:
        """The dead worker is replaced: the engine works again."""
        self._armed = self.dead = False

    def wait_until_noticed(self, engine: Engine) -> None:
        """Until PostgreSQL has seen that the dead one is gone: it holds its rows until then, and who passes by rows
        that are held would pass by these."""
        query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :backend")
        with engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            assert eventually(lambda: connection.execute(query, {"backend": self._backend}).scalar() == 0, within=30)

    def _before(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        self._moment(f"before {_shortened(statement)}", connection.connection.dbapi_connection)

    def _after(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        dbapi_connection = connection.connection.dbapi_connection
        if dbapi_connection.info.transaction_status == TransactionStatus.IDLE:
            self._moment("after the commit", dbapi_connection)
        elif self._every:
            self._moment(f"after {_shortened(statement)}", dbapi_connection)

    def _commit(self, pooled: Any) -> None:
        self._moment("before the commit", pooled.dbapi_connection)
        self._really_commit(pooled)
        self._moment("after the commit", pooled.dbapi_connection)

    def _roll_back(self, dbapi_connection: Any) -> None:
        if not dbapi_connection.closed:
            self._really_roll_back(dbapi_connection)

    def _moment(self, name: str, dbapi_connection: Any) -> None:
        if not self._armed:
            return
        if self.dead:
            raise Killed(name)
        self.passed.append(name)
        if len(self.passed) - 1 == self._fatal:
            if self._exit_process:
                os._exit(STATUS)
            self.dead, self._backend = True, dbapi_connection.info.backend_pid
            dbapi_connection.close()
            raise Killed(name)


def _shortened(statement: str) -> str:
    return " ".join(statement.split())[:70]


def main() -> None:
    database_url, request_id, point = sys.argv[1:]
    engine = make_engine(database_url)
    KillSwitch(engine, exit_process=True).arm(int(point))
    mailbox(engine).work_until_done(request_id)


if __name__ == "__main__":
    main()
