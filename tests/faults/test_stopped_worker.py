"""A worker that is stopped in mid-operation, and wakes when another has done its work, changes nothing."""

import os
import signal

from release_worker.embedded.process import eventually
from tests.faults.shop import QUICK, Shop
from tests.support.billing import edit_everything
from tests.support.live_state import live_state
from tests.support.records import releases_of, rollbacks_of
from tests.support.world import Toolset


def _stop_in_mid_operation(shop: Shop, toolsets: list[Toolset], request_ids: list[str]) -> list[int]:
    """Stop the children that work these requests, past their wait for the row, their leases and locks."""
    assert eventually(lambda: len(shop.waiting()) == len(request_ids), within=20)
    children = [shop.child_of(request_id) for request_id in request_ids]
    for child in children:
        os.kill(child, signal.SIGSTOP)
    assert eventually(lambda: not shop.waiting(), within=20), "their statements should have timed out"
    assert eventually(lambda: not any(map(shop.lock_is_held, toolsets)), within=10)
    return children


def _state(shop: Shop, toolsets: list[Toolset]) -> list[object]:
    return [
        (live_state(shop.engine, one), releases_of(shop.engine, one), rollbacks_of(shop.engine, one))
        for one in toolsets
    ]


def test_stopped_workers_whose_requests_another_did_change_nothing_when_they_wake(shop: Shop) -> None:
    billing, refunds = toolsets = [shop.billing, shop.billing.project.toolset("refunds")]
    first = shop.worker("stopped", app=QUICK, children=2)
    second = shop.worker("other", app=QUICK)
    with first:
        first.wait_until_ready()
        shop.client.create_release(billing.path, actor="tester").result(timeout=30)
        edit_everything(billing)
        with shop.holding(billing), shop.holding(refunds):
            rollback = shop.client.rollback(billing.path, 1, actor="tester", allow_shared_impact=True)
            release = shop.client.create_release(refunds.path, actor="tester")
            asked = [rollback.id, release.id]
            children = _stop_in_mid_operation(shop, toolsets, asked)
        with second:
            second.wait_until_ready()
            for request_id in asked:
                shop.sweep_until_ended(request_id, within=20)
                assert shop.child_of(request_id) == second.children()[0]
        done = [shop.request(request_id) for request_id in asked]
        assert {row.status for row in done} == {"succeeded"}
        for toolset in toolsets:
            toolset.edit(name="Edited since")  # so that doing it again would show
        before = _state(shop, toolsets)

        for child in children:
            os.kill(child, signal.SIGCONT)
        assert eventually(lambda: first.log.read_text().count("request_claim_lost") == 2, within=15)

        assert _state(shop, toolsets) == before
        assert [shop.request(request_id) for request_id in asked] == done
