"""What the fixture `release_worker` is: everything that a test of an app's integration needs."""

from dataclasses import dataclass, field
from typing import Self
from uuid import uuid4

from sqlalchemy import Connection, Engine

from release_worker.broker.publishing import publisher_again
from release_worker.client.release_client import ReleaseClient
from release_worker.demo.sample_toolset import write_sample_toolset
from release_worker.domain.limits import DEFAULTS
from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import PythonProcess
from release_worker.operations.sweep import SweepPolicy, sweep
from release_worker.store.engine import ledger_transaction
from release_worker.store.statements import parsed
from release_worker.testing.running.service import Service

_PATIENCE = 2.0  # seconds in which a worker that knows of a request has done it
_UNFINISHED = """
    SELECT id, kind, status FROM ours.release_requests
    WHERE status IN ('queued', 'running') AND seq > :since
    ORDER BY seq
"""
_LAST = "SELECT coalesce(max(seq), 0) FROM ours.release_requests"


@dataclass(frozen=True)
class ReleaseWorker:
    """A release worker that is another process, a client of it, and the database that both share with the app.

    All tests of a process share the worker and the database, so each makes an organization of its own, for example with
    `sample_toolset`. `engine` is a plain one of SQLAlchemy's, on the app's database.
    """

    client: ReleaseClient
    engine: Engine
    service: Service = field(repr=False)
    worker: PythonProcess = field(repr=False)
    said_before: int = field(repr=False)
    asked_before: int = field(repr=False)

    @classmethod
    def of(cls, client: ReleaseClient, engine: Engine, service: Service, worker: PythonProcess) -> Self:
        """For a test that begins now: what others have asked and what the worker has said are not its own."""
        with ledger_transaction(service.engine) as connection:
            asked: int = connection.execute(parsed(_LAST)).scalar_one()
        return cls(client, engine, service, worker, said_before=len(worker.said()), asked_before=asked)

    @property
    def database_url(self) -> str:
        """The database's URL, as SQLAlchemy reads it."""
        return self.service.database_url

    @property
    def database_dsn(self) -> str:
        """The same as psycopg, psql and other languages read it."""
        return self.database_url.replace("postgresql+psycopg:", "postgresql:")

    @property
    def broker_url(self) -> str:
        """The broker's URL, as Celery reads it."""
        return self.service.broker_url

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with `RELEASE_WORKER_…` set, for a program that the test starts."""
        return self.service.environment

    def connect(self) -> Connection:
        """A connection of the app's: what is not committed is rolled back when it is closed."""
        return self.engine.connect()

    def sample_toolset(self, *tools: str) -> str:
        """Write and commit an organization of a new name, with a project and a toolset of these tools, or of five;
        returns its path."""
        with ledger_transaction(self.service.engine) as connection:
            return write_sample_toolset(connection, f"org-{uuid4().hex[:12]}", tools)

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until every request that was committed since the test began has ended. Requests that nobody has
        published, as after a crash of the app, are published after two seconds; beat would do so within a minute.

        Raises TimeoutError, which names the requests, after so many seconds, and ReleaseWorkerError if the worker has
        ended.
        """
        patience = min(_PATIENCE, timeout)
        if eventually(self._is_idle, within=patience):
            return
        engine, app = self.service.engine, self.client._connections.own().app
        sweep(engine, publisher_again(app), attempts=DEFAULTS.attempts, policy=SweepPolicy(patience=patience))
        if not eventually(self._is_idle, within=timeout - patience):
            unfinished = "; ".join(
                f"{kind} {request_id} is {status}" for request_id, kind, status in self._unfinished()
            )
            raise TimeoutError(f"after {timeout:g} s, {unfinished or 'requests have only just ended'}")

    def log(self) -> str:
        """What the worker has logged since the test began."""
        return self.worker.said()[self.said_before :]

    def _is_idle(self) -> bool:
        self.worker.check()
        return not self._unfinished()

    def _unfinished(self) -> list[tuple[str, str, str]]:
        since = {"since": self.asked_before}
        with ledger_transaction(self.service.engine) as connection:
            return [(row.id, row.kind, row.status) for row in connection.execute(parsed(_UNFINISHED), since)]
