"""What is RabbitMQ's own: its queues have a type, it keeps what is not due yet, and it confirms what has arrived."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from amqp.exceptions import PreconditionFailed
from celery import Celery
from kombu import Connection, Queue

from release_worker import ReleaseClient
from release_worker.broker.address import Broker
from release_worker.domain.limits import DEFAULTS
from release_worker.embedded.process import eventually
from release_worker.errors import BrokerUnavailable
from tests.brokers.sites import ShopAtSite, at
from tests.support.records import releases_of

LONG = 60.0
on_rabbitmq = at("rabbitmq")


@on_rabbitmq
def test_all_queues_are_quorum_queues_that_outlive_the_broker(shop: ShopAtSite) -> None:
    for queue in Broker(_url(shop)).settings(DEFAULTS)["task_queues"]:
        with Connection(_url(shop)) as connection, pytest.raises(PreconditionFailed, match="quorum"):
            Queue(queue.name, queue.exchange, routing_key=queue.name)(connection.default_channel).declare()
    waiting = shop.client.create_release(shop.billing.path, actor="ci")
    shop.site.restart()
    with shop.worker("worker") as worker:
        worker.wait_until_ready()
        waiting.result(LONG)  # nobody swept


@on_rabbitmq
def test_a_message_whose_time_has_not_come_lies_in_the_broker(shop: ShopAtSite) -> None:
    with shop.worker("worker") as worker, Connection(_url(shop)) as connection:
        worker.wait_until_ready()

        def delayed() -> int:
            channel = connection.default_channel
            return sum(
                channel.queue_declare(f"celery_delayed_{level}", passive=True).message_count for level in range(6)
            )

        with shop.holding(shop.billing):
            handle = shop.client.create_release(shop.billing.path, actor="ci")
            assert eventually(lambda: delayed() > 0, within=LONG)
        handle.result(LONG)
    assert "Direct exchanges are not supported" not in worker.said()


@on_rabbitmq
def test_a_caller_that_declares_another_type_of_queue_is_refused_at_once(shop: ShopAtSite) -> None:
    with stranger(_url(shop)) as app, pytest.raises(PreconditionFailed, match="x-queue-type"):
        app.send_task("release_worker.create_release", kwargs={}, queue="releases")


@on_rabbitmq
def test_in_a_virtual_host_of_quorum_queues_a_caller_needs_to_know_nothing_but_the_names(shop: ShopAtSite) -> None:
    assert shop.site.rabbitmq is not None
    url = shop.site.rabbitmq.virtual_host("quorum", "--default-queue-type", "quorum")
    apart = _moved(shop, url)
    with stranger(url) as app:  # before there is a worker, too
        sent = app.send_task("release_worker.create_release", kwargs=_asked(apart), queue="releases")
    with apart.worker("worker") as worker:
        worker.wait_until_ready()
        assert eventually(
            lambda: [row.request_id for row in releases_of(apart.engine, apart.billing)] == [sent.id], within=LONG
        )


@on_rabbitmq
def test_a_caller_may_name_our_exchange_in_place_of_a_queue(shop: ShopAtSite) -> None:
    with shop.worker("worker") as worker, stranger(_url(shop)) as app:
        worker.wait_until_ready()
        sent = app.send_task(
            "release_worker.create_release", kwargs=_asked(shop), exchange="release_worker", routing_key="releases"
        )
        assert eventually(
            lambda: [row.request_id for row in releases_of(shop.engine, shop.billing)] == [sent.id], within=LONG
        )


@on_rabbitmq
def test_a_queue_of_another_type_is_named_to_clients_and_by_the_worker(shop: ShopAtSite) -> None:
    assert shop.site.rabbitmq is not None
    apart = _moved(shop, shop.site.rabbitmq.virtual_host("classic"))
    with Connection(_url(apart)) as connection:
        Queue("releases", durable=True)(connection.default_channel).declare()
    client = ReleaseClient(broker_url=_url(apart), database_url=shop.database_url)
    with client, pytest.raises(BrokerUnavailable, match="x-queue-type") as refused:
        client.create_release(shop.billing.path, actor="ci")
    assert shop.request(str(refused.value.details["request_id"])).status == "queued"
    with apart.worker("worker") as worker:
        assert eventually(lambda: "inequivalent arg 'x-queue-type' for queue 'releases'" in worker.said(), within=LONG)


@contextmanager
def stranger(url: str) -> Iterator[Celery]:
    """An app with Celery's defaults, that knows nothing of ours."""
    with Celery("stranger", broker=url, set_as_current=False) as app:
        yield app


def _url(shop: ShopAtSite) -> str:
    return shop.site.settings["broker_url"]


def _moved(shop: ShopAtSite, url: str) -> ShopAtSite:
    site = replace(shop.site, settings={**shop.site.settings, "broker_url": url})
    return replace(shop, site=site)


def _asked(shop: ShopAtSite) -> dict[str, str]:
    return {"toolset": shop.billing.path, "actor": "stranger"}
