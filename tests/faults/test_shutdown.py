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
    with shop.worker("leaving", REMAP_SIGTERM=SHUTDOWNS[shutdown]) as leaving, shop.worker("staying") as staying:
        staying.stop()
        leaving.wait_until_ready()
        with shop.holding(shop.billing):
            running = shop.client.create_release(shop.billing.path, actor="tester")
            child = shop.wait_until_waiting(running.id)
            waiting = [
                shop.client.create_release(toolset.path, actor="tester")
                for toolset in (shop.billing, other)
                for _ in range(BEHIND)
            ]
            leaving.terminate()
            assert eventually(lambda: "hutdown" in leaving.log.read_text(), within=10)
        running.result(timeout=20)
        assert shop.request(running.id).worker.endswith(f"pid {child}")
        assert shop.request(running.id).attempts == 1
        assert leaving.wait(20) == 0
        assert [shop.request(handle.id).status for handle in waiting] == ["queued"] * len(waiting)

        staying.start()
        numbers = [handle.result(timeout=60).release_number for handle in waiting]

    assert numbers == [*range(2, 2 + BEHIND), *range(1, 1 + BEHIND)]
    assert [row.request_id for row in releases_of(shop.engine, other)] == [one.id for one in waiting[BEHIND:]]
    assert len(releases_of(shop.engine, shop.billing)) == 1 + BEHIND
