"""Each broker starts once a session; each test has a database, and queues that nobody has left anything in."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import Engine

from release_worker import ReleaseClient
from release_worker.broker.address import Broker
from release_worker.broker.emptying import empty_queues
from release_worker.embedded import EmbeddedServers
from release_worker.settings import given_settings
from tests.brokers.sites import SITES, ShopAtSite, Site
from tests.support.billing import a_full_toolset


class StartedSites:
    """The sites that were asked for, each of which runs until the session ends."""

    def __init__(self, embedded: EmbeddedServers, stack: ExitStack) -> None:
        self._embedded = embedded
        self._stack = stack
        self._started: dict[str, Site] = {}

    def site(self, name: str) -> Site:
        if name not in self._started:
            start, _ = SITES[name]
            self._started[name] = self._stack.enter_context(start(self._embedded))
        return self._started[name]


@pytest.fixture(scope="session")
def started(embedded: EmbeddedServers) -> Iterator[StartedSites]:
    with ExitStack() as stack:
        yield StartedSites(embedded, stack)


@pytest.fixture
def shop(
    request: pytest.FixtureRequest,
    started: StartedSites,
    embedded: EmbeddedServers,
    database_url: str,
    engine: Engine,
    tmp_path: Path,
) -> Iterator[ShopAtSite]:
    """A toolset at the site that the test's parameter names."""
    site = started.site(request.param)
    _empty(site)
    settings = given_settings(**site.settings)
    client = ReleaseClient(
        broker_url=settings.require("broker_url"),
        result_backend=settings.result_backend,
        database_url=database_url,
        sentinel=settings.sentinel,
    )
    with client:
        yield ShopAtSite(embedded, database_url, engine, a_full_toolset(engine), client, tmp_path, site)


def _empty(site: Site) -> None:
    empty_queues(Broker.of(given_settings(**site.settings)))
