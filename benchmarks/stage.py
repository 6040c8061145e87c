"""The servers of a run, and for each contender a database and a broker's database of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, text

from benchmarks.world import build_world
from release_worker import migrations
from release_worker.domain.requests.create_release import CreateRelease
from release_worker.embedded import EmbeddedServers, embedded_servers
from release_worker.operations.performing import perform
from release_worker.settings import environment_with
from release_worker.state.registry import built_in_components
from release_worker.state.work import Work
from release_worker.store.engine import ledger_transaction, locking_transaction, make_engine

ROOT = Path(__file__).parents[1]
_TEMPLATE = "benchmark_template"
# Without a past, an analysed ledger makes PostgreSQL plan for an empty table, until it is analysed again.
_LEDGER = """
    INSERT INTO release_requests (
        id, kind, toolset_id, payload, status, attempts, requested_by, started_at, finished_at, result)
    SELECT id::text, 'create_release', toolset_id, jsonb_build_object('toolset', toolset_id, 'actor', released_by),
           'succeeded', 1, released_by, created_at, created_at, jsonb_build_object('release_id', id)
    FROM toolset_releases
"""


@dataclass(frozen=True, slots=True)
class Site:
    """One contender's database, as a URL and as an engine for looking, and its broker."""

    database_url: str
    broker_url: str
    redis_url: str
    engine: Engine
    directory: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a worker here."""
        ours = environment_with(
            database_url=self.database_url,
            broker_url=self.broker_url,
            result_backend=self.broker_url,
            redis_url=self.redis_url,
        )
        python_path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**ours, "PYTHONPATH": python_path}


@dataclass(eq=False)
class Stage:
    """Running servers, and a template database with a world in which every toolset has been released once."""

    servers: EmbeddedServers
    toolsets: int
    _engines: list[Engine] = field(default_factory=list)

    def site(self, name: str) -> Site:
        """A new database with a copy of the world, and a broker's database that nobody else uses."""
        number = len(self._engines) + 1
        database = f"bench_{name}_{number}"
        self._administrate(f"CREATE DATABASE {database} TEMPLATE {_TEMPLATE}")
        url = self.servers.postgres.url(database)
        engine = make_engine(url, application_name="benchmark")
        self._engines.append(engine)
        return Site(
            database_url=url,
            broker_url=self.servers.broker_url.replace("virtual_host=0", f"virtual_host={number}"),
            redis_url=self.servers.redis_url.replace("db=0", f"db={number}"),
            engine=engine,
            directory=self.servers.directory,
        )

    def prepare(self) -> None:
        """Make the template."""
        self._administrate(f"CREATE DATABASE {_TEMPLATE}")
        engine = make_engine(self.servers.postgres.url(_TEMPLATE))
        with engine.connect() as connection:
            migrations.upgrade(connection)
        with ledger_transaction(engine) as connection:
            build_world(connection, self.toolsets)
        _release_all(engine)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()

    def _administrate(self, statement: str) -> None:
        engine = create_engine(self.servers.postgres.admin_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))


@contextmanager
def stage(toolsets: int) -> Iterator[Stage]:
    """Servers with their default settings, on disk, gone at the end."""
    with embedded_servers() as servers:
        made = Stage(servers, toolsets)
        try:
            made.prepare()
            yield made
        finally:
            made.close()


def _release_all(engine: Engine) -> None:
    registry = built_in_components()
    with engine.connect() as connection:
        ids = list(connection.execute(text("SELECT id FROM toolsets ORDER BY slug::int")).scalars())
    for start in range(0, len(ids), 100):
        with locking_transaction(engine) as connection:
            for toolset_id in ids[start : start + 100]:
                request = CreateRelease(toolset=str(toolset_id), actor="benchmark", notes="the first")
                perform(Work(connection, toolset_id, registry), request)
    with ledger_transaction(engine) as connection:
        connection.execute(text(_LEDGER))
