"""A database, a worker and the sample toolset of `release-worker dev` for each page."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from release_worker.demo.sample_toolset import load_sample_toolset
from tests.pages.running import Runner
from tests.support.billing import a_full_toolset
from tests.support.command_line import settings
from tests.support.servers import Servers
from tests.support.workers import running_worker, service


@pytest.fixture
def runner(servers: Servers, tmp_path: Path) -> Iterator[Runner]:
    """What a reader has after `make dev`, and the toolset acme/payments/billing that README speaks of."""
    signs = str(tmp_path / "signs")  # of this page's worker, and of no other on this host
    with service(servers, broker_database=3, more={"health_directory": signs}) as served:
        load_sample_toolset(served.database_url)
        a_full_toolset(served.engine, organization="acme")
        variables = {
            "database_url": served.database_url.replace("postgresql+psycopg:", "postgresql:"),
            "broker_url": served.broker_url,
            "result_backend": served.broker_url,
            "health_directory": signs,
        }
        with running_worker(served, "--hostname", "pages@%h"), Runner(tmp_path, settings(**variables)) as runner:
            yield runner
