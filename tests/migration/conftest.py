"""An empty database for each test of a migration."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, NullPool, create_engine

from tests.support.databases import temporary_database
from tests.support.servers import Servers


@pytest.fixture
def empty(servers: Servers) -> Iterator[Connection]:
    """A connection to a database in which no migration has run."""
    with (
        temporary_database(servers.postgres, template="template0") as url,
        create_engine(url, poolclass=NullPool).connect() as connection,
    ):
        yield connection
