"""Servers once a session, a database of its own for each test. Nothing needs Docker or an installed server."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from redis import Redis
from sqlalchemy import Engine

from release_worker import testing
from release_worker.embedded import EmbeddedServers
from release_worker.store.engine import make_engine
from tests.support import elsewhere
from tests.support.servers import Servers

# A failure prints the blob that repeats it (`@reproduce_failure`); in CI every run tries the same examples.
settings.register_profile("default", max_examples=50, deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000, derandomize=False)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-golden", action="store_true", help="write the golden files, and what pages show, anew")
    parser.addoption("--share", default="1/1", metavar="K/N", help="every Nth test, or pair, from the Kth on")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A share of the tests; of the interleavings it is one of the pairs."""
    if not config.getoption("every_pair", default=False):
        share, shares = map(int, config.getoption("share").split("/"))
        items[:] = items[share - 1 :: shares]


@pytest.fixture
def renew(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew."""
    return bool(request.config.getoption("--renew-golden", default=False))


def pytest_configure(config: pytest.Config) -> None:
    """Embedded servers start once in each process of tests; of those of somebody else, our tests use many databases.

    A shell has what it starts in the background ignore Ctrl-C, and so would the programs that tests interrupt.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    elsewhere.establish(config.getini("release_worker_schema"))
    processes = config.getoption("numprocesses", default=None) or 1
    if processes > 1 and any(config.getoption(f"--release-worker-{one}-url") for one in ("postgres", "broker")):
        raise pytest.UsageError(f"{processes} processes of tests would share the servers that are given: use -n 1")


@pytest.fixture(scope="session")
def embedded(release_worker_embedded: EmbeddedServers) -> EmbeddedServers:
    """PostgreSQL and Valkey, both for tests to stop and kill."""
    return release_worker_embedded


@pytest.fixture(scope="session")
def release_worker_template(release_worker_template: str) -> str:
    """With what a run with another schema needs besides."""
    elsewhere.prepare(release_worker_template)
    return release_worker_template


@pytest.fixture(scope="session")
def servers(release_worker_servers: testing.Servers, release_worker_template: str) -> Servers:
    """The same, or the servers that the environment names, with a database of which others are clones."""
    assert release_worker_template
    running = Servers.of(release_worker_servers)
    if running.own_valkey is None:
        with Redis.from_url(running.redis_url) as redis:
            redis.flushall()  # what an earlier session has left
    return running


@pytest.fixture
def database_url(release_worker_database: str) -> str:
    """A migrated database of the test's own."""
    return release_worker_database


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The product's engine on the test's database, with connections for the widest concurrency test."""
    engine = make_engine(database_url, pool_size=40)
    yield engine
    engine.dispose()
