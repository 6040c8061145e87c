"""Who asks, and nobody who works."""

from collections.abc import Iterator

import pytest

from release_worker import ReleaseClient
from tests.support.servers import Servers
from tests.support.workers import Service, service


@pytest.fixture
def served(servers: Servers) -> Iterator[Service]:
    """A broker that no worker takes anything from."""
    with service(servers, broker_database=3) as made:
        yield made


@pytest.fixture
def client(served: Service) -> Iterator[ReleaseClient]:
    with served.client() as made:
        yield made
