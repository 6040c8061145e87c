"""A worker's child that dies in mid-operation: its request is done once, or ends if it is what kills."""

import os
import signal

from release_worker.embedded.process import eventually
from tests.faults.shop import ATTEMPTS, DIED_AT_ONCE, POISON, QUICK, Shop
from tests.support.records import releases_of


def test_a_release_whose_child_is_killed_in_mid_operation_is_made_once(shop: Shop) -> None:
    with shop.worker("worker", app=QUICK) as worker:
        worker.wait_until_ready()
        with shop.holding(shop.billing):
            handle = shop.client.create_release(shop.billing.path, actor="tester")
            child = shop.wait_until_waiting(handle.id)
            os.kill(child, signal.SIGKILL)
        shop.sweep_until_ended(handle.id, within=30)

        assert handle.result().release_number == 1
        assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [handle.id]
        assert shop.request(handle.id).attempts == 2
        assert eventually(lambda: not shop.lock_is_held(shop.billing), within=5)
        worker.kill_all()  # after the loss of a child, Celery's warm shutdown may take half a minute


def test_a_request_that_kills_every_child_ends_and_does_not_block_the_next(shop: Shop) -> None:
    other = shop.billing.project.toolset("refunds")
    with shop.worker("worker", app=QUICK) as worker:
        worker.wait_until_ready()
        poison = shop.client.create_release(shop.billing.path, actor="tester", notes=POISON)
        behind = shop.client.create_release(shop.billing.path, actor="tester")
        aside = shop.client.create_release(other.path, actor="tester")
        for handle in (poison, behind, aside):
            shop.sweep_until_ended(handle.id, within=60)
        worker.kill_all()  # after the loss of a child, Celery's warm shutdown may take half a minute

    failed = shop.request(poison.id)
    assert (failed.status, failed.error["type"], failed.attempts) == ("failed", "WorkerLost", ATTEMPTS)
    assert behind.result().release_number == 1
    assert aside.result().release_number == 1
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [behind.id]


def test_so_does_one_whose_first_child_dies_before_anything_is_claimed(shop: Shop) -> None:
    with shop.worker("worker", app=QUICK) as worker:
        worker.wait_until_ready()
        first = shop.client.create_release(shop.billing.path, actor="tester")
        shop.sweep_until_ended(first.id, within=30)
        poison = shop.client.create_release(shop.billing.path, actor="tester", notes=POISON)
        behind = shop.client.create_release(shop.billing.path, actor="tester")
        for handle in (poison, behind):
            shop.sweep_until_ended(handle.id, within=60)
        assert worker.said().count(DIED_AT_ONCE) == 1
        worker.kill_all()  # as above

    failed = shop.request(poison.id)
    assert (failed.status, failed.error["type"], failed.attempts) == ("failed", "WorkerLost", ATTEMPTS)
    assert behind.result().release_number == 2
    assert [row.request_id for row in releases_of(shop.engine, shop.billing)] == [first.id, behind.id]
