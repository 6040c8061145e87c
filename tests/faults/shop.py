"""One toolset, its worker's processes and its client: what a test of a single fault needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import Engine, Row, text

from release_worker import ReleaseClient
from release_worker.embedded import EmbeddedServers
from release_worker.embedded.process import eventually
from tests.faults.processes import CeleryProcess, environment_of, worker
from tests.support.world import Toolset

QUICK = "tests.faults.quick_worker"
SOON_READY = ("--without-mingle", "--without-gossip")
POISON = "poison"  # a note that kills the quick worker's child
DIED_AT_ONCE = "a child dies that had claimed nothing"  # what the quick worker says then
ATTEMPTS = 3  # that the quick worker makes


@dataclass(frozen=True)
class Shop:
    """The servers, a database of its own, `acme/payments/billing` in it, and a client."""

    servers: EmbeddedServers
    database_url: str
    engine: Engine
    billing: Toolset
    client: ReleaseClient
    directory: Path

    def worker(self, name: str, *, app: str = "release_worker", children: int = 1, **variables: str) -> CeleryProcess:
        """A worker, not started; `variables` of its environment, besides its settings."""
        environment = environment_of(self.servers, self.database_url, **variables)
        return worker(name, self.directory, environment, children=children, app=app, options=SOON_READY)

    def request(self, request_id: str) -> Row[Any]:
        """Its row."""
        [row] = self.rows("SELECT * FROM release_requests WHERE id = :id", id=request_id)
        return row

    def rows(self, query: str, **values: Any) -> list[Row[Any]]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), values))

    def has_ended(self, request_id: str) -> bool:
        return self.request(request_id).status in ("succeeded", "failed")

    def sweep_until_ended(self, request_id: str, *, within: float) -> None:
        """Be the sweeper, and wait."""

        def ended() -> bool:
            self.client.sweep()
            return self.has_ended(request_id)

        assert eventually(ended, within=within), f"request {request_id} has not ended: {self.request(request_id)}"

    @contextmanager
    def holding(self, toolset: Toolset) -> Iterator[None]:
        """Keep every operation on the toolset waiting for its row, until it runs into its lock timeout of 10 s."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT FROM toolsets WHERE id = :id FOR UPDATE"), {"id": toolset.id})
            yield
            connection.rollback()

    def wait_until_waiting(self, request_id: str) -> int:
        """Until the request's operation waits for a row; the pid of the child that works it."""
        assert eventually(lambda: self.request(request_id).status == "running" and bool(self.waiting()), within=20)
        return self.child_of(request_id)

    def child_of(self, request_id: str) -> int:
        """The pid of the child that worked the request last."""
        return int(self.request(request_id).worker.split(" pid ")[1])

    def waiting(self) -> list[int]:
        """Pids of backends of workers that wait for a row."""
        query = """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'release_worker worker'
              AND wait_event_type = 'Lock'
        """
        return [row.pid for row in self.rows(query)]

    def lock_is_held(self, toolset: Toolset) -> bool:
        with Redis.from_url(self.servers.redis_url) as redis:
            return bool(redis.exists(f"release_worker:lock:toolset:{toolset.id}"))
