"""A worker that is asked to end finishes what it does and gives the rest back: nothing is lost or done twice."""

import pytest

from release_worker.embedded.process import eventually
from tests.faults.shop import Shop
from tests.support.records import releases_of

# Celery answers TERM by a warm shutdown, and QUIT by a soft one; this variable makes TERM mean QUIT.
SHUTDOWNS = {"warm": "", "soft": "SIGQUIT"}
BEHIND = 4


@pytest.mark.parametrize("shutdown", SHUTDOWNS)
def test_term_lets_the_running_operation_finish_and_gives_back_the_rest(shop: Shop, shutdown: str) -> None:
    other = shop.billing.project.toolset("refunds")
    leaving = shop.worker("leaving", REMAP_SIGTERM=SHUTDOWNS[shutdown])
    staying = shop.worker("staying")
    with leaving:
        leaving.wait_until_ready()
        with shop.holding(shop.billing):
            running = shop.client.create_release(shop.billing.path, actor="tester")
            child = shop.wait_until_waiting(running.id)
            waiting = [
                shop.client.create_release(toolset.path, actor="tester").id
                for toolset in (shop.billing, other)
                for _ in range(BEHIND)
            ]
            leaving.terminate()
            assert eventually(lambda: "hutdown" in leaving.log.read_text(), within=10)
        with staying:
            for request_id in waiting:
                assert eventually(lambda: shop.has_ended(request_id), within=60)  # noqa: B023
            [other_child] = staying.children()
        assert leaving.wait(20) == 0

    assert (shop.child_of(running.id), shop.request(running.id).attempts) == (child, 1)
    assert {shop.child_of(request_id) for request_id in waiting} == {other_child}
    released = [*releases_of(shop.engine, shop.billing), *releases_of(shop.engine, other)]
    assert [row.request_id for row in released] == [running.id, *waiting]
