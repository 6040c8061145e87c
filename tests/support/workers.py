"""A real Celery worker as a subprocess, with a database of its own and a database number of the broker's."""

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from redis import Redis
from sqlalchemy import Engine

from release_worker import ReleaseClient
from release_worker.broker.routing import QUEUE_NAMES
from release_worker.embedded.python_process import CELERY, PythonProcess
from release_worker.settings import environment_with
from release_worker.store.engine import make_engine
from tests.support.databases import temporary_database
from tests.support.servers import Servers

ROOT = Path(__file__).parents[2]
LONG = 60.0  # seconds; a test that waits for as long has failed
_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Service:
    """A database and a broker, and perhaps a worker that serves them."""

    engine: Engine
    database_url: str
    broker_url: str

    @property
    def environment(self) -> dict[str, str]:
        return environment_with(
            database_url=self.database_url, broker_url=self.broker_url, result_backend=self.broker_url
        )

    def client(self, *, database: bool = True) -> ReleaseClient:
        return ReleaseClient(
            broker_url=self.broker_url,
            result_backend=self.broker_url,
            database_url=self.database_url if database else None,
        )

    def stranger(self) -> Celery:
        """An app that knows the names of tasks and queues, and nothing of ours."""
        return Celery("stranger", broker=self.broker_url, backend=self.broker_url, set_as_current=False)

    def redis(self) -> Redis:
        """The broker's own keys."""
        as_redis_reads_it = self.broker_url.replace("redis+socket://", "unix://").replace("virtual_host=", "db=")
        return Redis.from_url(as_redis_reads_it)


@contextmanager
def service(servers: Servers, *, broker_database: int) -> Iterator[Service]:
    """A new database, and an empty database of the broker."""
    with (
        temporary_database(servers.postgres) as database_url,
        serving(database_url, servers.broker(broker_database)) as made,
    ):
        yield made


@contextmanager
def serving(database_url: str, broker_url: str) -> Iterator[Service]:
    """This database, and this database of the broker, which is emptied."""
    engine = make_engine(database_url)
    made = Service(engine, database_url, broker_url)
    with made.redis() as redis:
        redis.flushdb()
    yield made
    engine.dispose()


@contextmanager
def running_worker(
    served: Service, *arguments: str, directory: Path = ROOT, more: Mapping[str, str] | None = None
) -> Iterator[PythonProcess]:
    """`celery -A release_worker worker` in a directory: the repository, which has a celeryconfig.py, or another."""
    command = [*CELERY, "worker", "--loglevel", "INFO", *arguments]
    environment = {**served.environment, **(more or {})}
    with (
        tempfile.TemporaryDirectory(prefix="worker-") as logs,
        PythonProcess("worker", command, directory, environment, Path(logs), _STOP_SECONDS) as worker,
    ):
        worker.wait_until(lambda: " ready." in worker.said())
        yield worker


def answer(result: AsyncResult) -> Any:
    """What a task answered to whoever sent it; raises its error."""
    return result.get(timeout=LONG)


@dataclass(frozen=True)
class Published:
    """A message that waits on a queue."""

    task: str
    id: str
    keywords: dict[str, Any]
    headers: dict[str, Any]
    queue: str
    priority: int


def published(served: Service) -> list[Published]:
    """The messages that nobody has taken yet, in the order in which a worker would take them from each queue."""
    found: list[Published] = []
    with served.redis() as redis:
        for queue in QUEUE_NAMES:
            for priority in (0, 3, 6, 9):
                key = queue if priority == 0 else f"{queue}\x06\x16{priority}"
                found += [_published(json.loads(raw)) for raw in reversed(redis.lrange(key, 0, -1))]
    return found


def _published(message: dict[str, Any]) -> Published:
    _, keywords, _ = json.loads(base64.b64decode(message["body"]))
    headers, properties = message["headers"], message["properties"]
    queue = properties["delivery_info"]["routing_key"]
    return Published(headers["task"], headers["id"], keywords, headers, queue, properties["priority"])
