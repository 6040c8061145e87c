"""How many connections to PostgreSQL each process has: what docs/explanation/scaling.md says of them."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Engine, QueuePool, text

from release_worker.broker.routing import MAINTENANCE
from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import CELERY, PythonProcess
from tests.support.billing import a_full_toolset
from tests.support.servers import Servers
from tests.support.workers import LONG, ROOT, Service, running_worker, service

CHILDREN = 2
LEASE = "8"  # seconds; a lease is renewed at a third of it
LONGER_THAN_A_RENEWAL = 4  # seconds
SLOW = f"""
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_sleep({LONGER_THAN_A_RENEWAL});
        RETURN NEW;
    END
    $$;
    CREATE TRIGGER slow BEFORE INSERT ON toolset_releases FOR EACH ROW EXECUTE FUNCTION slow()
"""


@pytest.fixture
def apart(servers: Servers) -> Iterator[Service]:
    """A database and a broker's database that no other test counts the connections of."""
    with service(servers, broker_database=10) as made:
        yield made


def connections(engine: Engine, program: str = "") -> int:
    """How many others there are to this database; of one program, if it is given."""
    query = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND starts_with(application_name, :program)
    """
    with engine.connect() as connection:
        return int(connection.execute(text(query), {"program": program}).scalar_one())


def test_a_child_of_a_worker_has_one_connection_and_a_second_for_operations_longer_than_a_renewal(
    apart: Service,
) -> None:
    apart = replace(apart, more={"lease_seconds": LEASE})
    toolsets = [a_full_toolset(apart.engine, organization=f"org-{number}") for number in range(CHILDREN * 3)]
    with running_worker(apart, "-c", str(CHILDREN), "-n", "counted@%h"), apart.client() as client:
        for handle in [client.create_release(toolset.path, actor="ci") for toolset in toolsets]:
            handle.result(LONG)
        assert 1 <= connections(apart.engine, "release_worker worker") <= CHILDREN
        with apart.engine.begin() as connection:
            connection.execute(text(SLOW))
        # With a condition: what is done at once has no lease, and renews none.
        for handle in [
            client.create_release(toolset.path, actor="ci", expected_current_release=1) for toolset in toolsets
        ]:
            handle.result(LONG)
        assert connections(apart.engine, "release_worker worker") == 2 * CHILDREN


def test_beat_has_no_connection(apart: Service) -> None:
    with tempfile.TemporaryDirectory(prefix="beat-") as made, apart.redis() as redis:
        command = [*CELERY, "beat", "--schedule", f"{made}/schedule"]
        with PythonProcess("beat", command, ROOT, apart.environment, Path(made)):
            assert eventually(lambda: bool(redis.llen(MAINTENANCE)), within=LONG)
            assert connections(apart.engine) == 0


def test_a_client_has_a_connection_for_each_thread_that_asks_at_the_same_time_and_at_most_fifteen(
    apart: Service,
) -> None:
    toolset = a_full_toolset(apart.engine)
    with apart.client() as client:
        for _ in range(5):
            client.create_release(toolset.path, actor="ci")
        assert connections(apart.engine, "release_worker client") == 1
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: client.create_release(toolset.path, actor="ci"), range(40)))
        assert 1 <= connections(apart.engine, "release_worker client") <= 4
        pool = cast("QueuePool", client._connections.own().engine().pool)
        assert pool.size() + pool._max_overflow == 15
