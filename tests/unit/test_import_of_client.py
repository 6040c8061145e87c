"""What an app loads that imports the client: not what only a worker or a database needs."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from release_worker import ReleaseClient
ReleaseClient(broker_url="redis://broker.test/0")
print(*sorted(sys.modules))
"""


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return set(
        subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize(
    "package", ["alembic", "cronsim", "prometheus_client", "psycopg", "rich", "sqlalchemy", "structlog", "typer"]
)
def test_a_client_loads_nothing_that_only_a_worker_or_a_database_needs(loaded: set[str], package: str) -> None:
    assert "release_worker.client" in loaded
    assert package not in loaded
