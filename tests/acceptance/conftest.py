"""One worker for all tests of this directory that ask one; each test makes an organization of its own."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from release_worker.embedded.python_process import PythonProcess
from tests.support.billing import a_full_toolset
from tests.support.command_line import CommandLine, settings
from tests.support.servers import Servers
from tests.support.workers import Service, running_worker, service
from tests.support.world import Toolset


@pytest.fixture(scope="package")
def release_worker_service(servers: Servers) -> Iterator[Service]:
    """Apart from what other directories do with the broker, and gone before they begin."""
    with service(servers, broker_database=1) as made:
        yield made


@pytest.fixture(scope="package")
def release_worker_worker(release_worker_service: Service) -> Iterator[PythonProcess]:
    """A worker that was started in the repository, with its celeryconfig.py."""
    with running_worker(release_worker_service, "--hostname", "acceptance@%h") as started:
        yield started
        assert started.status is None


@pytest.fixture(scope="package")
def served(release_worker_service: Service) -> Service:
    """The servers of `worker`."""
    return release_worker_service


@pytest.fixture(scope="package")
def worker(release_worker_worker: PythonProcess) -> PythonProcess:
    """The worker of the plugin's fixtures."""
    return release_worker_worker


@pytest.fixture
def billing(served: Service, worker: PythonProcess) -> Toolset:
    """A toolset in an organization that no other test has, and a worker for it."""
    assert worker.status is None
    return a_full_toolset(served.engine, organization=f"org-{uuid4().hex[:12]}")


@pytest.fixture
def run(served: Service, worker: PythonProcess) -> CommandLine:
    """The command line, with a worker to do what it asks."""
    assert worker.status is None
    urls = {"database_url": served.database_url, "broker_url": served.broker_url, "result_backend": served.broker_url}
    return CommandLine(settings(**urls))


@pytest.fixture
def nobody_works(servers: Servers, served: Service) -> CommandLine:
    """The command line, with a broker that no worker reads."""
    broker = servers.broker(8)
    return CommandLine(settings(database_url=served.database_url, broker_url=broker))
