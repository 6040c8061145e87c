"""What an app loads that imports the client: not what only a worker or a database needs. docs/performance.md says what
the import takes."""

import subprocess
import sys
from functools import cache

import pytest

IMPORTED = "from release_worker import ReleaseClient"
IMPORTED_FOR_ASYNCIO = "from release_worker import AsyncReleaseClient"
MADE = f"{IMPORTED}; client = ReleaseClient(broker_url='redis://broker.test/0')"
CHECKED = f"""{MADE}
from release_worker.domain.requests.kinds import validate_request
validate_request("check_drift", {{"toolset": "acme/payments/billing", "actor": "ci"}})
"""
OF_WORKERS = ("alembic", "cronsim", "prometheus_client", "rich", "structlog", "typer")
OF_DATABASES = ("psycopg", "sqlalchemy")


@cache
def loaded(program: str) -> set[str]:
    told = [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(told, capture_output=True, text=True, check=True).stdout.split())


def packages(modules: set[str]) -> set[str]:
    """Those that an installation adds to Python."""
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names


@pytest.mark.parametrize("program", [IMPORTED, IMPORTED_FOR_ASYNCIO])
def test_importing_the_client_loads_little_that_importing_celery_does_not(program: str) -> None:
    beside_celery = packages(loaded(program)) - packages(loaded("from celery import Celery"))
    assert beside_celery == {"release_worker", "uuid_utils"}


@pytest.mark.parametrize("package", [*OF_WORKERS, *OF_DATABASES])
def test_a_client_loads_nothing_that_only_a_worker_or_a_database_needs(package: str) -> None:
    modules = loaded(MADE)
    assert "release_worker.client" in modules
    assert package not in modules


def test_a_client_that_awaits_nothing_does_not_load_asyncio() -> None:
    assert "asyncio" not in loaded(IMPORTED)
    assert "asyncio" in loaded(IMPORTED_FOR_ASYNCIO)


def test_what_a_client_does_by_itself_loads_no_definitions_of_tables() -> None:
    """They need a newer SQLAlchemy than a client does."""
    program = "import release_worker.operations.execute, release_worker.queries.reading"
    assert not {module for module in loaded(program) if module.startswith("release_worker.store.tables")}


def test_a_client_loads_of_the_kinds_of_request_those_that_it_asks_for() -> None:
    modules = loaded(CHECKED)
    assert "release_worker.domain.requests.check_drift" in modules
    assert "release_worker.domain.requests.rollback" not in modules
