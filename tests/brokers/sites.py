"""The brokers besides Redis by itself: the servers of each, and a toolset with its client and its workers."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from redis import Redis

from release_worker.embedded import EmbeddedServers
from release_worker.embedded.python_process import PythonProcess
from release_worker.settings import environment_with, given_settings
from release_worker.worker.lock import lock_key, toolset_lock_client
from tests.faults.processes import ROOT, CeleryProcess
from tests.faults.shop import SOON_READY, Shop
from tests.support.rabbitmq import RabbitMQ, needs_rabbitmq, rabbitmq
from tests.support.redis_servers import MASTER, SENTINEL_PASSWORD, needs_redis, redis_with_tls, watched_servers
from tests.support.world import Toolset


@dataclass(frozen=True)
class Site:
    """Settings that name the servers, but for the database; `restart` restarts the broker with its data."""

    settings: Mapping[str, str]
    restart: Callable[[], None]
    rabbitmq: RabbitMQ | None = None


@contextmanager
def on_rabbitmq(embedded: EmbeddedServers) -> Iterator[Site]:
    """RabbitMQ, with Redis for results and locks."""
    with rabbitmq() as broker:
        settings = {"broker_url": broker.url, "result_backend": embedded.broker_url, "redis_url": embedded.redis_url}
        yield Site(settings, broker.restart, broker)


@contextmanager
def on_rabbitmq_alone(_embedded: EmbeddedServers) -> Iterator[Site]:
    """RabbitMQ without a Redis: no locks, and no results but the ledger's."""
    with rabbitmq() as broker:
        yield Site({"broker_url": broker.url}, broker.restart)


@contextmanager
def behind_sentinel(_embedded: EmbeddedServers) -> Iterator[Site]:
    """Redis behind Sentinel, whose restart is the death of the master."""
    with watched_servers() as watched:
        settings = {
            "broker_url": watched.url(0),
            "result_backend": watched.url(1),
            "redis_url": watched.url(2),
            "sentinel_master": MASTER,
            "sentinel_password": SENTINEL_PASSWORD,
        }
        yield Site(settings, watched.fail_over)


@contextmanager
def over_tls(_embedded: EmbeddedServers) -> Iterator[Site]:
    """Redis over TLS, for all three."""
    with redis_with_tls() as (url, server):
        yield Site({"broker_url": url, "result_backend": url}, server.restart)


SITES = {
    "rabbitmq": (on_rabbitmq, needs_rabbitmq),
    "rabbitmq-alone": (on_rabbitmq_alone, needs_rabbitmq),
    "sentinel": (behind_sentinel, needs_redis),
    "tls": (over_tls, needs_redis),
}


def at(*names: str) -> pytest.MarkDecorator:
    """The test, at these sites, whose shop it is given."""
    return pytest.mark.parametrize(
        "shop",
        [pytest.param(name, marks=(SITES[name][1], pytest.mark.xdist_group(name)), id=name) for name in names],
        indirect=True,
    )


@dataclass(frozen=True)
class ShopAtSite(Shop):
    """A shop whose broker is the site's."""

    site: Site

    def environment(self) -> dict[str, str]:
        ours = environment_with(database_url=self.database_url, **self.site.settings)
        return {**ours, "PYTHONPATH": str(ROOT)}

    def worker(self, name: str, *, app: str = "release_worker", children: int = 1, **variables: str) -> CeleryProcess:
        options = ["-c", str(children), "-n", f"{name}@%h", "--loglevel", "INFO", *SOON_READY]
        arguments = ["celery", "-A", app, "worker", *options]
        environment = {**self.environment(), **variables}
        # Ended at once: a soft shutdown takes as long as it may.
        return CeleryProcess(name, arguments, self.directory, environment, stop_seconds=0)

    def redis_of_locks(self) -> Redis | None:
        settings = given_settings(**self.site.settings)
        url = settings.lock_url
        if url is None:
            return None
        return toolset_lock_client(url, settings.sentinel if url.startswith("sentinel:") else None)

    def lock_is_held(self, toolset: Toolset) -> bool:
        locks = self.redis_of_locks()
        assert locks is not None
        with locks:
            return bool(locks.exists(lock_key(toolset.id)))

    def asked(self) -> list[Any]:
        """Every request, in the order of the ledger."""
        return self.rows("SELECT * FROM release_requests ORDER BY seq")


def losses(worker: PythonProcess) -> int:
    """How often a worker has lost its broker."""
    return worker.said().count("Trying to re-establish")
