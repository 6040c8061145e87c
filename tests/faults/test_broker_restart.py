"""The broker restarts while a task runs: the worker goes on, and so does what comes later."""

from release_worker.embedded.process import eventually
from tests.faults.processes import CeleryProcess
from tests.faults.shop import Shop
from tests.support.records import releases_of


def test_a_worker_outlives_broker_restarts_in_mid_task(shop: Shop) -> None:
    """kombu 5.7 ends the worker where messages are not acknowledged yet: `broker.steady_consumer` is about that."""
    asked: list[str] = []
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        for keep_data in (True, False):
            with shop.holding(shop.billing):
                running = shop.client.create_release(shop.billing.path, actor="tester")
                shop.wait_until_waiting(running.id)
                shop.servers.valkey.restart(keep_data=keep_data)
                lost = len(asked) // 2 + 1
                assert eventually(lambda: _losses(worker) == lost, within=10)  # noqa: B023
            running.result(timeout=30)
            later = shop.client.create_release(shop.billing.path, actor="tester")
            later.result(timeout=30)
            asked += [running.id, later.id]
            assert worker.status is None
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == asked


def _losses(worker: CeleryProcess) -> int:
    return worker.log.read_text().count("Trying to re-establish")
