"""A database and a broker, and a real worker that serves them."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Engine

from release_worker.broker.address import Broker
from release_worker.broker.emptying import empty_queues
from release_worker.broker.reaching import reach
from release_worker.client.release_client import ReleaseClient
from release_worker.domain.database import PUBLIC, Database
from release_worker.domain.limits import DEFAULTS
from release_worker.embedded.python_process import CELERY, PythonProcess
from release_worker.settings import environment_of
from release_worker.store.engine import make_engine

_STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Service:
    """A migrated database, with an engine of ours on it, and a broker in which nothing waits. `more` are other settings
    of its worker, such as `{"webhooks_private": "true"}`, and `schema` if ours is not `public`."""

    engine: Engine = field(repr=False)
    database_url: str
    broker_url: str
    more: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """The settings that say where both are, by the names of `Settings`."""
        addresses = {"database_url": self.database_url, "broker_url": self.broker_url}
        return addresses | ({"result_backend": self.broker_url} if Broker(self.broker_url).is_redis else {})

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment, with these settings and no others of ours."""
        return environment_of(**self.settings, **self.more)

    def client(self, *, database: bool = True) -> ReleaseClient:
        """A client, which may do without the database."""
        return ReleaseClient(
            broker_url=self.broker_url,
            result_backend=self.settings.get("result_backend"),
            database_url=self.database_url if database else None,
            schema=_schema(self.more),
            secret_keys=self.more.get("secret_keys"),
        )


@contextmanager
def serving(database_url: str, broker_url: str, more: Mapping[str, str] | None = None) -> Iterator[Service]:
    """This database, and this broker, whose queues are emptied. Raises BrokerUnavailable."""
    more = more or {}
    engine = make_engine(Database(database_url, _schema(more)))
    reach(Broker(broker_url), DEFAULTS)
    empty_queues(Broker(broker_url))
    yield Service(engine, database_url, broker_url, more)
    engine.dispose()


@contextmanager
def running_worker(
    served: Service, *arguments: str, directory: Path | None = None, more: Mapping[str, str] | None = None
) -> Iterator[PythonProcess]:
    """`celery -A release_worker worker`, from when it is ready until the block ends; in a directory of its own, or in
    one that may have a `celeryconfig.py`. `more` are variables of its environment."""
    with tempfile.TemporaryDirectory(prefix="release-worker-") as logs:
        worker = PythonProcess(
            "worker",
            [*_celery(served), "worker", "--loglevel", "INFO", *arguments],
            directory or Path(logs),
            {"RELEASE_WORKER_HEALTH_DIRECTORY": logs, **served.environment, **(more or {})},
            Path(logs),
            _STOP_SECONDS,
        )
        with worker:
            worker.wait_until(lambda: " ready." in worker.said())
            yield worker


def _schema(more: Mapping[str, str]) -> str:
    return more.get("schema", PUBLIC)


def _celery(served: Service) -> list[str]:
    """With the addresses, because Celery would rather believe a BROKER_URL of the environment than ours."""
    backend = served.settings.get("result_backend")
    return [*CELERY, "--broker", served.broker_url, *(["--result-backend", backend] if backend else [])]
