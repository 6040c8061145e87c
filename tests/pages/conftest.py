"""A database, a worker and the sample toolset of `release-worker dev` for each page."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from release_worker.demo.sample_toolset import load_sample_toolset
from release_worker.testing.running.databases import EMPTY
from tests.pages.page import EMPTY_DATABASE
from tests.pages.running import Runner
from tests.support.billing import a_full_toolset
from tests.support.command_line import settings
from tests.support.servers import Servers
from tests.support.workers import running_worker, service


@pytest.fixture
def runner(servers: Servers, page: Path, tmp_path: Path) -> Iterator[Runner]:
    """What a reader has after `make dev`, and the toolset acme/payments/billing that README speaks of. Or, if the page
    says so, a database of an app that has nothing of ours."""
    given = _an_apps_database if EMPTY_DATABASE in page.read_text(encoding="utf-8") else _as_after_make_dev
    with given(servers, tmp_path) as variables, Runner(tmp_path, settings(**variables)) as runner:
        yield runner


@contextmanager
def _an_apps_database(servers: Servers, _directory: Path) -> Iterator[Mapping[str, str]]:
    with servers.databases.temporary(template=EMPTY) as url:
        database_url = url.replace("postgresql+psycopg:", "postgresql:")
        yield {"database_url": database_url, "broker_url": servers.broker(3)}


@contextmanager
def _as_after_make_dev(servers: Servers, directory: Path) -> Iterator[Mapping[str, str]]:
    signs = str(directory / "signs")  # of this page's worker, and of no other on this host
    with service(servers, broker_database=3, more={"health_directory": signs}) as served:
        load_sample_toolset(served.database_url)
        a_full_toolset(served.engine, organization="acme")
        variables = {
            "database_url": served.database_url.replace("postgresql+psycopg:", "postgresql:"),
            "broker_url": served.broker_url,
            "result_backend": served.broker_url,
            "health_directory": signs,
        }
        with running_worker(served, "--hostname", "pages@%h"):
            yield variables
