"""In which order a worker takes what waits, and what a worker that serves some queues alone does."""

from collections.abc import Iterator

import pytest

from release_worker.broker.routing import MAINTENANCE, SWEEP
from release_worker.embedded.process import eventually
from tests.support.billing import a_full_toolset
from tests.support.ledger import ledger
from tests.support.servers import Servers
from tests.support.workers import LONG, Service, running_worker, service


@pytest.fixture
def apart(servers: Servers) -> Iterator[Service]:
    """A database and a broker's database in which nothing else waits."""
    with service(servers, broker_database=11) as made:
        yield made


def test_what_is_done_by_the_clock_comes_after_rollbacks_and_first_releases_that_wait(apart: Service) -> None:
    """A worker of one child; the message of the sweep is the first that came."""
    toolsets = [a_full_toolset(apart.engine, organization=f"org-{number}") for number in range(6)]
    stranger = apart.stranger()
    stranger.send_task(SWEEP, queue=MAINTENANCE)
    with apart.client() as client:
        for toolset in toolsets:
            client.create_release(toolset.path, actor="ci")
        client.rollback(toolsets[0].path, 1, actor="oncall")
    with running_worker(apart, "-c", "1", "-n", "one@%h", "--loglevel", "DEBUG") as worker:
        assert eventually(lambda: f"Task {SWEEP}[" in worker.said(), within=LONG)
        taken = [line for line in worker.said().splitlines() if " received" in line and "Task release_worker" in line]
    order = [line.partition("Task release_worker.")[2].partition("[")[0] for line in taken]
    assert order == ["rollback", *["create_release"] * len(toolsets), "sweep"]


def test_a_worker_for_rollbacks_alone_leaves_releases_to_others(apart: Service) -> None:
    waiting, urgent = (a_full_toolset(apart.engine, organization=name) for name in ("waiting", "urgent"))
    with apart.client() as client:
        with running_worker(apart, "-c", "1", "-n", "all@%h"):
            client.create_release(urgent.path, actor="ci").result(LONG)
        kept = client.create_release(waiting.path, actor="ci")
        with running_worker(apart, "-c", "1", "-Q", "rollbacks,maintenance", "-n", "rollbacks@%h"):
            client.rollback(urgent.path, 1, actor="oncall").result(LONG)
            [row] = [row for row in ledger(apart.engine) if row.id == kept.id]
            assert row.status == "queued"
            client.create_release(urgent.path, actor="ci")
            client.rollback(urgent.path, 1, actor="oncall").result(LONG)  # the release before it is worked first
            assert [row.status for row in ledger(apart.engine) if row.toolset_id == urgent.id] == ["succeeded"] * 4
