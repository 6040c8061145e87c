"""Servers come from `tests/conftest.py`; here is what tests of one fault start from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from release_worker import ReleaseClient
from release_worker.embedded import EmbeddedServers
from release_worker.testing import Servers
from release_worker.testing.running.servers import GivenServers, servers_for_tests
from tests.faults.shop import Shop
from tests.support.billing import a_full_toolset


@pytest.fixture(scope="session")
def release_worker_servers(embedded: EmbeddedServers) -> Iterator[Servers]:
    """The embedded ones, whatever the environment names: faults strike them."""
    with servers_for_tests(GivenServers(), lambda: embedded) as running:
        yield running


@pytest.fixture(scope="session")
def servers(embedded: EmbeddedServers) -> EmbeddedServers:
    """The same."""
    return embedded


@pytest.fixture
def broker(servers: EmbeddedServers) -> Iterator[EmbeddedServers]:
    """Valkey, empty: other tests' messages would name databases that are gone."""
    with Redis.from_url(servers.redis_url) as redis:
        redis.flushall()
        yield servers
        redis.flushall()


@pytest.fixture
def shop(broker: EmbeddedServers, database_url: str, engine: Engine, tmp_path: Path) -> Iterator[Shop]:
    """A toolset with a client; workers are for the test to start."""
    billing = a_full_toolset(engine)
    with ReleaseClient(broker_url=broker.broker_url, database_url=database_url) as client:
        yield Shop(broker, database_url, engine, billing, client, tmp_path)
