"""A flood on one toolset: the others do not feel it, a lost lock changes nothing, and its order holds."""

import statistics
import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import PythonProcess
from release_worker.worker.lock import lock_key
from tests.support.billing import a_full_toolset
from tests.support.ledger import ledger
from tests.support.records import assert_numbers_and_chain_complete, releases_of
from tests.support.workers import LONG, Service
from tests.support.world import Toolset

FLOOD = 500
CHECKED = 150  # so many of them are worked off, to see numbers and order
SAMPLES = 15
# A release elsewhere may be delayed by no more than twice its idle time.
SLOWEST = 3.0


@pytest.fixture(scope="module")
def elsewhere(served: Service, worker: PythonProcess) -> Toolset:
    """A toolset of another organization than the flooded one."""
    assert worker.status is None
    return a_full_toolset(served.engine, organization=f"org-{uuid4().hex[:12]}")


@pytest.fixture(scope="module")
def client(served: Service) -> Iterator[ReleaseClient]:
    with served.client() as made:
        yield made


@pytest.fixture(scope="module")
def idle(client: ReleaseClient, elsewhere: Toolset) -> float:
    """The median time of a release while nothing else goes on."""
    return _median(lambda: client.create_release(elsewhere.path, actor="ci").result(LONG))


@pytest.fixture(scope="module")
def flooded(served: Service, client: ReleaseClient, idle: float) -> Toolset:
    """A toolset of which 500 releases have been asked at once, most of which still wait."""
    assert idle > 0
    toolset = a_full_toolset(served.engine, organization=f"org-{uuid4().hex[:12]}")
    with Session(served.engine) as session, session.begin():
        for number in range(FLOOD):
            client.create_release(toolset.path, actor="flood", notes=str(number), session=session)
    return toolset


def waiting(engine: Engine, toolset: Toolset) -> int:
    query = "SELECT count(*) FROM release_requests WHERE toolset_id = :id AND status IN ('queued', 'running')"
    with engine.connect() as connection:
        return int(connection.execute(text(query), {"id": toolset.id}).scalar_one())


def test_a_flood_on_one_toolset_hardly_delays_another(
    served: Service, client: ReleaseClient, elsewhere: Toolset, flooded: Toolset, idle: float
) -> None:
    ratios: list[float] = []
    for _ in range(3):  # other processes of the machine disturb a measurement
        ratios.append(_median(lambda: client.create_release(elsewhere.path, actor="ci").result(LONG)) / idle)
        assert waiting(served.engine, flooded) > 0, "the flood was over before the measurement was"
        if ratios[-1] <= SLOWEST:
            return
    assert min(ratios) <= SLOWEST


def test_a_rollback_does_not_wait_for_the_flood(
    served: Service, client: ReleaseClient, elsewhere: Toolset, flooded: Toolset
) -> None:
    client.rollback(elsewhere.path, 1, actor="oncall").result(LONG)
    assert waiting(served.engine, flooded) > 0


def test_a_lock_that_is_lost_again_and_again_leaves_numbers_gapless_and_the_order_as_asked(
    served: Service, flooded: Toolset
) -> None:
    """With its lock deleted all the time, both of the worker's children are at work on one toolset."""
    with served.redis() as redis:

        def worked_off() -> bool:
            redis.delete(lock_key(flooded.id))
            return waiting(served.engine, flooded) <= FLOOD - CHECKED

        assert eventually(worked_off, within=3 * LONG)
    releases = releases_of(served.engine, flooded)
    rows = [row for row in ledger(served.engine) if row.toolset_id == flooded.id]
    done = [row for row in rows if row.status == "succeeded"]
    assert len(done) >= len(releases) >= CHECKED
    assert {row.status for row in rows} <= {"queued", "running", "succeeded"}
    assert rows[: len(done)] == done
    assert [row.finished_at for row in done] == sorted(row.finished_at for row in done)
    assert [row.request_id for row in releases] == [row.id for row in rows][: len(releases)]
    assert [row.notes for row in releases] == [str(number) for number in range(len(releases))]
    assert_numbers_and_chain_complete(served.engine, flooded)


def _median(work: Callable[[], object]) -> float:
    times = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
