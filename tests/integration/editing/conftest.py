"""Who edits: a client and a command line, with a database and nothing else."""

import pytest

from release_worker import ReleaseClient
from tests.support.command_line import CommandLine, settings


@pytest.fixture
def client(release_worker_client: ReleaseClient) -> ReleaseClient:
    """Its broker is nowhere: nothing is asked of a worker."""
    return release_worker_client


@pytest.fixture
def run(database_url: str) -> CommandLine:
    """The command line of somebody who has set the database only."""
    return CommandLine(settings(database_url=database_url))
