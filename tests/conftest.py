"""Servers once a session, a database of its own for each test. Nothing needs Docker or an installed server."""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy import Engine

from release_worker.embedded import EmbeddedServers
from release_worker.store.engine import make_engine
from tests.support.databases import running_servers, temporary_database
from tests.support.servers import Servers, are_given, servers_of_session

# A failure prints the blob that repeats it (`@reproduce_failure`); in CI every run tries the same examples.
settings.register_profile("default", max_examples=50, deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000, derandomize=False)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-golden", action="store_true", help="write the golden files, and what pages show, anew")


@pytest.fixture
def renew(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew."""
    return bool(request.config.getoption("--renew-golden", default=False))


def pytest_configure(config: pytest.Config) -> None:
    """Embedded servers start once in each process of tests; those of somebody else have one set of database numbers.

    A shell has what it starts in the background ignore Ctrl-C, and so would the programs that tests interrupt.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    processes = config.getoption("numprocesses", default=None) or 1
    if are_given() and processes > 1:
        raise pytest.UsageError(f"{processes} processes of tests would share the servers that are given: use -n 1")


@pytest.fixture(scope="session")
def embedded() -> Iterator[EmbeddedServers]:
    """PostgreSQL, with a migrated template database, and Valkey; both for tests to stop and kill."""
    with running_servers() as running:
        yield running


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    """The same, or the servers that TEST_POSTGRES_URL and TEST_REDIS_URL name."""
    with servers_of_session(lambda: request.getfixturevalue("embedded")) as running:
        yield running


@pytest.fixture
def database_url(servers: Servers) -> Iterator[str]:
    """A migrated database of the test's own."""
    with temporary_database(servers.postgres) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The product's engine on the test's database, with connections for the widest concurrency test."""
    engine = make_engine(database_url, pool_size=40)
    yield engine
    engine.dispose()
