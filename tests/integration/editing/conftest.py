"""Who edits: a client and a command line, with a database and nothing else."""

from collections.abc import Iterator

import pytest

from release_worker import ReleaseClient
from tests.support.command_line import CommandLine, settings


@pytest.fixture
def client(database_url: str) -> Iterator[ReleaseClient]:
    """Its broker is nowhere: nothing is asked of a worker."""
    with ReleaseClient(broker_url="memory://", database_url=database_url) as made:
        yield made


@pytest.fixture
def run(database_url: str) -> CommandLine:
    """The command line of somebody who has set the database only."""
    return CommandLine(settings(database_url=database_url))
