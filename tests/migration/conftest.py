"""An empty database for each test of a migration."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, NullPool, create_engine

from release_worker.testing.running.databases import EMPTY
from tests.support.servers import Servers


@pytest.fixture
def empty(servers: Servers) -> Iterator[Connection]:
    """A connection to a database in which no migration has run."""
    with (
        servers.databases.temporary(template=EMPTY) as url,
        create_engine(url, poolclass=NullPool).connect() as connection,
    ):
        yield connection
