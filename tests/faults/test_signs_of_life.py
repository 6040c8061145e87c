"""The broker goes away: a probe says so, and does not take the worker that waits for it for a stuck one."""

from release_worker.embedded.process import eventually
from tests.faults.shop import Shop
from tests.support.command_line import CommandLine, settings


def test_a_worker_that_waits_for_its_broker_is_alive_and_consumes_again_when_it_is_back(shop: Shop) -> None:
    signs = str(shop.directory / "signs")
    probe = CommandLine(settings(health_directory=signs, broker_url=shop.servers.broker_url))

    def says(only: str) -> str:
        return probe("healthcheck", "--only", only).out

    with shop.worker("worker", RELEASE_WORKER_HEALTH_DIRECTORY=signs) as worker:
        worker.wait_until_ready()
        assert says("worker") == "healthy: worker\n"
        shop.servers.valkey.stop()
        try:
            assert eventually(lambda: "does not consume" in says("worker"), within=30)
            assert says("broker").startswith("unhealthy: broker: the broker cannot be reached")
            [sign] = (shop.directory / "signs").iterdir()
            said = sign.read_text()
            assert eventually(lambda: sign.read_text() != said, within=30)
            assert says("alive") == "healthy: alive\n"
        finally:
            shop.servers.valkey.start()
        assert eventually(lambda: says("worker") == "healthy: worker\n", within=60)
        assert worker.status is None
