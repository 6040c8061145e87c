"""One stage a session; the whole catalogue only when it is asked for."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.interleavings.stage import Stage
from tests.support.servers import Servers


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-pair", action="store_true", help="try all pairs of the catalogue, not a selection")


@pytest.fixture(scope="session")
def stage(servers: Servers) -> Iterator[Stage]:
    """The scene, and those who play in it."""
    with servers.databases.temporary() as url:
        stage = Stage(url)
        yield stage
        stage.close()


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No line in the log for each of some ten thousand operations."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()
