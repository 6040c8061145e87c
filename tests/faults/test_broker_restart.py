"""The broker restarts while a task runs: the worker goes on, and so does what comes later."""

import pytest

from release_worker.embedded.process import eventually
from tests.faults.shop import Shop
from tests.support.records import releases_of


@pytest.mark.parametrize("keep_data", [True, False], ids=["with its data", "without its data"])
def test_a_worker_outlives_a_broker_restart_in_mid_task(shop: Shop, keep_data: bool) -> None:
    """kombu 5.7 ends the worker where messages are not acknowledged yet: `worker.consumer` is about that."""
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        with shop.holding(shop.billing):
            running = shop.client.create_release(shop.billing.path, actor="tester")
            shop.wait_until_waiting(running.id)
            shop.servers.valkey.restart(keep_data=keep_data)
            assert eventually(lambda: "Trying to re-establish" in worker.log.read_text(), within=10)
        assert running.result(timeout=30).release_number == 1
        later = shop.client.create_release(shop.billing.path, actor="tester")
        assert later.result(timeout=30).release_number == 2
        assert worker.status is None
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [running.id, later.id]
