"""Servers once a session, a database of its own for each test. Nothing needs Docker or an installed server."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy import Engine

from release_worker.embedded import EmbeddedServers
from release_worker.store.engine import make_engine
from tests.support.databases import running_servers, temporary_database

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


@pytest.fixture(scope="session")
def servers() -> Iterator[EmbeddedServers]:
    """PostgreSQL, with a migrated template database, and Valkey."""
    with running_servers() as running:
        yield running


@pytest.fixture
def database_url(servers: EmbeddedServers) -> Iterator[str]:
    """A migrated database of the test's own."""
    with temporary_database(servers.postgres) as url:
        yield url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The product's engine on the test's database, with connections for the widest concurrency test."""
    engine = make_engine(database_url, pool_size=40)
    yield engine
    engine.dispose()
