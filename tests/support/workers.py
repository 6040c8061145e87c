"""A real Celery worker as a subprocess, with a database of its own and a database number of the broker's."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from redis import Redis

from release_worker import testing
from release_worker.broker.routing import QUEUE_NAMES
from release_worker.embedded.python_process import PythonProcess
from release_worker.testing.running import service as testing_service
from tests.support.elsewhere import SETTINGS
from tests.support.redis_urls import as_redis_reads_it
from tests.support.servers import Servers

ROOT = Path(__file__).parents[2]
LONG = 60.0  # seconds; a test that waits for as long has failed


@dataclass(frozen=True)
class Service(testing.Service):
    """A database and a broker, and perhaps a worker that serves them."""

    def stranger(self) -> Celery:
        """An app that knows the names of tasks and queues, and nothing of ours."""
        return Celery("stranger", broker=self.broker_url, backend=self.broker_url, set_as_current=False)

    def redis(self) -> Redis:
        """The broker's own keys."""
        return Redis.from_url(as_redis_reads_it(self.broker_url))


@contextmanager
def service(servers: Servers, *, broker_database: int, more: Mapping[str, str] | None = None) -> Iterator[Service]:
    """A new database, and an empty database of the broker; `more` settings for what is started in its environment."""
    with servers.databases.temporary() as url, serving(url, servers.broker(broker_database), more) as made:
        yield made


@contextmanager
def serving(database_url: str, broker_url: str, more: Mapping[str, str] | None = None) -> Iterator[Service]:
    """This database, and this database of the broker, which is emptied."""
    with testing_service.serving(database_url, broker_url, {**SETTINGS, **(more or {})}) as made:
        ours = Service(made.engine, made.database_url, made.broker_url, made.more)
        with ours.redis() as redis:
            redis.flushdb()
        yield ours


@contextmanager
def running_worker(
    served: testing.Service, *arguments: str, directory: Path = ROOT, more: Mapping[str, str] | None = None
) -> Iterator[PythonProcess]:
    """`celery -A release_worker worker` in a directory: the repository, which has a celeryconfig.py, or another."""
    with testing_service.running_worker(served, *arguments, directory=directory, more=more) as worker:
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
