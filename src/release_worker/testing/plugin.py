"""Fixtures for the tests of apps, found by pytest itself: docs/how-to/test-your-integration.md shows them.

Nothing of ours but this module is imported before a fixture is used, and nothing is started.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from release_worker.client import ReleaseClient
    from release_worker.embedded import EmbeddedServers
    from release_worker.embedded.python_process import PythonProcess
    from release_worker.testing import FakeReleaseClient, ReleaseWorker, Servers, Service

POSTGRES = "RELEASE_WORKER_TEST_POSTGRES_URL"
BROKER = "RELEASE_WORKER_TEST_BROKER_URL"
_POSTGRES_OPTION, _BROKER_OPTION = "--release-worker-postgres-url", "--release-worker-broker-url"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("release_worker", "release_worker: servers for its fixtures, instead of embedded ones")
    group.addoption(
        _POSTGRES_OPTION,
        default=os.environ.get(POSTGRES) or None,
        metavar="URL",
        help=f"a PostgreSQL in which databases may be created ({POSTGRES})",
    )
    group.addoption(
        _BROKER_OPTION,
        default=os.environ.get(BROKER) or None,
        metavar="URL",
        help=f"a broker that no other release worker uses ({BROKER})",
    )
    parser.addini("release_worker_schema", "the schema that release_worker's tables are made in", default="public")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[Any]") -> None:
    """With a test that failed, show what the worker logged meanwhile."""
    running = getattr(item, "funcargs", {}).get("release_worker")
    if call.excinfo is not None and running is not None:
        item.add_report_section(call.when, "release_worker", running.log())


@pytest.fixture(scope="session")
def release_worker_embedded() -> "Iterator[EmbeddedServers]":
    """PostgreSQL and Valkey from wheels, for each process of pytest-xdist by itself."""
    with _said_in_one_line("release_worker_embedded", "embedded"):
        from release_worker.testing.running.servers import embedded_for_tests

        with embedded_for_tests() as servers:
            yield servers


@pytest.fixture(scope="session")
def release_worker_servers(request: pytest.FixtureRequest) -> "Iterator[Servers]":
    """The servers that the options name, and embedded ones in place of those that are not named."""
    config = request.config
    postgres, broker = config.getoption(_POSTGRES_OPTION), config.getoption(_BROKER_OPTION)
    with _said_in_one_line("release_worker_servers", "worker" if postgres and broker else "embedded"):
        from release_worker.testing.running.servers import GivenServers, servers_for_tests

        given = GivenServers(postgres, broker, _process(config), config.getini("release_worker_schema"))
        with servers_for_tests(given, lambda: request.getfixturevalue("release_worker_embedded")) as servers:
            yield servers


@pytest.fixture(scope="session")
def release_worker_template(release_worker_servers: "Servers") -> str:
    """The URL of the migrated database that all others are clones of. An app that has tables of its own overrides this
    fixture, and makes them there."""
    with _said_in_one_line("release_worker_template"):
        return release_worker_servers.databases.template_url


@pytest.fixture
def release_worker_database(release_worker_servers: "Servers", release_worker_template: str) -> Iterator[str]:
    """The URL of a database of the test's own, with all tables and no rows. No worker serves it."""
    assert release_worker_template
    with release_worker_servers.databases.temporary() as url:
        yield url


@pytest.fixture
def release_worker_client(release_worker_database: str, pytestconfig: pytest.Config) -> "Iterator[ReleaseClient]":
    """A client of that database, whose requests are written down and wait for ever."""
    from release_worker.client import ReleaseClient

    schema = pytestconfig.getini("release_worker_schema")
    with ReleaseClient(broker_url="memory://", database_url=release_worker_database, schema=schema) as client:
        yield client


@pytest.fixture
def release_worker_fake() -> "FakeReleaseClient":
    """A client that needs no server, and answers at once."""
    from release_worker.testing import FakeReleaseClient

    return FakeReleaseClient()


@pytest.fixture(scope="session")
def release_worker_settings() -> Mapping[str, str]:
    """Further settings of the worker, by their names: an app overrides this fixture to set some."""
    return {}


@pytest.fixture(scope="session")
def release_worker_service(
    release_worker_servers: "Servers",
    release_worker_template: str,
    release_worker_settings: Mapping[str, str],
    pytestconfig: pytest.Config,
) -> "Iterator[Service]":
    """The database and the broker that the worker serves."""
    from release_worker.testing.running.service import serving

    assert release_worker_template
    servers = release_worker_servers
    settings = {"schema": pytestconfig.getini("release_worker_schema"), **release_worker_settings}
    with (
        _said_in_one_line("release_worker_service"),
        servers.databases.temporary() as url,
        serving(url, servers.broker_url, settings) as service,
    ):
        yield service


@pytest.fixture(scope="session")
def release_worker_worker(
    release_worker_service: "Service", tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[PythonProcess]":
    """A worker that is a process of its own, with beat in it."""
    from release_worker.testing.running.service import running_worker

    clock = tmp_path_factory.mktemp("release_worker") / "schedule"
    arguments = ("--concurrency", "2", "--beat", "--schedule", str(clock), "--hostname", f"tests-{os.getpid()}@%h")
    with running_worker(release_worker_service, *arguments) as worker:
        yield worker


@pytest.fixture
def release_worker(
    release_worker_service: "Service", release_worker_worker: "PythonProcess"
) -> "Iterator[ReleaseWorker]":
    """A running worker, a client of it, their database, and what makes toolsets in it. During the test, the environment
    has the addresses, so that `ReleaseClient.from_env` is such a client, too."""
    from sqlalchemy import create_engine

    from release_worker.testing.running.release_worker import ReleaseWorker

    service, worker = release_worker_service, release_worker_worker
    worker.check()
    engine = create_engine(service.database_url)
    with pytest.MonkeyPatch.context() as patch, service.client() as client:
        _set_addresses(patch, service.environment)
        yield ReleaseWorker.of(client, engine, service, worker)
    engine.dispose()


def _process(config: pytest.Config) -> int:
    """The number of this process of pytest-xdist's; 0 without it."""
    name: str = getattr(config, "workerinput", {}).get("workerid", "gw0")
    return int(name.removeprefix("gw"))


def _set_addresses(patch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    from release_worker.settings import PREFIX

    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        patch.delenv(name)
    for name, value in environment.items():
        if name.startswith(PREFIX):
            patch.setenv(name, value)


@contextmanager
def _said_in_one_line(fixture: str, extra: str = "worker") -> Iterator[None]:
    """A fixture that cannot be says what to install, or what is wrong with a server, and nothing else."""
    from release_worker.errors import BrokerUnavailable, DatabaseUnavailable, NotConfigured
    from release_worker.extras import require

    try:
        require(extra, fixture)
        yield
    except (NotConfigured, DatabaseUnavailable, BrokerUnavailable) as error:
        said = str(error).replace("RELEASE_WORKER_DATABASE_URL", _POSTGRES_OPTION)
        said = said.replace("RELEASE_WORKER_BROKER_URL", _BROKER_OPTION)
        raise pytest.fail.Exception(said, pytrace=False) from None
