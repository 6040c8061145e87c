"""A worker that is stopped in mid-operation, and wakes when another has done its work, changes nothing."""

import os
import signal

import pytest

from release_worker.embedded.process import eventually
from tests.faults.shop import QUICK, Shop
from tests.support.billing import edit_everything
from tests.support.live_state import live_state
from tests.support.records import releases_of, rollbacks_of


def _ask(shop: Shop, kind: str) -> str:
    if kind == "create_release":
        return shop.client.create_release(shop.billing.path, actor="tester").id
    return shop.client.rollback(shop.billing.path, 1, actor="tester").id


def _stop_in_mid_operation(shop: Shop, request_id: str) -> int:
    """Stop the child that works the request, past its wait for the row, its lease and its lock; returns its pid."""
    with shop.holding(shop.billing):
        child = shop.wait_until_waiting(request_id)
        os.kill(child, signal.SIGSTOP)
        assert eventually(lambda: not shop.waiting(), within=20), "its statement should have timed out"
        assert eventually(lambda: not shop.lock_is_held(), within=10)
    return child


@pytest.mark.parametrize("kind", ["create_release", "rollback"])
def test_a_stopped_worker_whose_request_another_did_changes_nothing_when_it_wakes(shop: Shop, kind: str) -> None:
    with shop.worker("stopped", app=QUICK) as first, shop.worker("other", app=QUICK) as second:
        second.stop()
        first.wait_until_ready()
        shop.client.create_release(shop.billing.path, actor="tester").result(timeout=30)
        edit_everything(shop.billing)
        request_id = _ask(shop, kind)
        child = _stop_in_mid_operation(shop, request_id)
        second.start()
        second.wait_until_ready()
        shop.sweep_until_ended(request_id, within=20)
        done = shop.request(request_id)
        assert done.status == "succeeded"
        assert done.worker.endswith(f"pid {second.children()[0]}")
        edit_everything_again(shop)
        before = live_state(shop.engine, shop.billing), _records(shop)

        os.kill(child, signal.SIGCONT)
        assert eventually(lambda: "request_claim_lost" in first.log.read_text(), within=15)

        assert (live_state(shop.engine, shop.billing), _records(shop)) == before
        assert shop.request(request_id) == done


def edit_everything_again(shop: Shop) -> None:
    """So that a second rollback would have something to restore."""
    shop.billing.edit(name="Edited since")


def _records(shop: Shop) -> tuple[object, object]:
    return releases_of(shop.engine, shop.billing), rollbacks_of(shop.engine, shop.billing)
