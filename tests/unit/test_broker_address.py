"""What is derived from the address of a broker."""

import pytest

from release_worker.broker.address import Broker, countdown
from release_worker.broker.careful_transport import CarefulSentinelChannel
from release_worker.broker.producer import make_app
from release_worker.broker.routing import QUEUE_NAMES
from release_worker.broker.sharing_transport import SharingSentinelChannel
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.server_urls import Sentinel
from release_worker.errors import NotConfigured
from release_worker.settings import given_settings
from release_worker.worker.app import make_app as make_worker_app
from release_worker.worker.config import worker_settings

RABBITMQ = "amqp://user:secret@broker.test//"
SENTINEL = "sentinel://:secret@one.test:26379/3;sentinel://:secret@two.test:26379/3"


@pytest.mark.parametrize("url", [RABBITMQ, "amqps://broker.test//", "pyamqp://broker.test//"])
def test_rabbitmq_is_given_nothing_that_only_redis_knows(url: str) -> None:
    ours = worker_settings(given_settings(broker_url=url))
    options = ours["broker_transport_options"]
    assert options.keys() == {"confirm_publish", "read_timeout", "write_timeout"}
    assert options["confirm_publish"] is True
    assert [(queue.name, queue.queue_arguments) for queue in ours["task_queues"]] == [
        (name, {"x-queue-type": "quorum"}) for name in QUEUE_NAMES
    ]
    assert {(queue.exchange.name, queue.exchange.type) for queue in ours["task_queues"]} == {
        ("release_worker", "topic")
    }


@pytest.mark.parametrize("url", ["redis://broker.test/0", "rediss://broker.test/0", "redis+socket:///run/valkey.sock"])
def test_redis_is_given_no_sentinel_and_plain_queues(url: str) -> None:
    ours = worker_settings(given_settings(broker_url=url))
    assert ours["broker_transport_options"]["visibility_timeout"] == DEFAULTS.visibility_timeout
    assert ours["broker_transport_options"]["queue_order_strategy"] == "priority"
    assert "master_name" not in ours["broker_transport_options"]
    assert [(queue.name, queue.exchange.name, queue.queue_arguments) for queue in ours["task_queues"]] == [
        (name, name, None) for name in QUEUE_NAMES
    ]


def test_extra_queues_are_declared_as_those_who_know_their_name_declare_them() -> None:
    for url in ("redis://broker.test/0", RABBITMQ):
        extra = worker_settings(given_settings(broker_url=url, extra_queues="celery"))["task_queues"][-1]
        assert (extra.name, extra.exchange.name, extra.exchange.type) == ("celery", "celery", "direct")
        assert extra.queue_arguments is None


def test_both_ends_find_the_master_through_its_sentinels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_WORKER_BROKER_URL", SENTINEL)
    monkeypatch.setenv("RELEASE_WORKER_SENTINEL_MASTER", "mymaster")
    client, worker = make_app(Broker(SENTINEL, Sentinel("mymaster")), SENTINEL), make_worker_app()
    assert client.connection_for_write().get_transport_cls().Channel is SharingSentinelChannel
    assert worker.connection_for_read().get_transport_cls().Channel is CarefulSentinelChannel
    for app in (client, worker):
        assert app.conf.broker_transport_options["master_name"] == "mymaster"
        assert app.conf.result_backend_transport_options["master_name"] == "mymaster"


def test_a_sentinel_has_a_password_of_its_own_which_nothing_prints() -> None:
    settings = given_settings(broker_url=SENTINEL, sentinel_master="mymaster", sentinel_password="hunter2")
    options = Broker.of(settings).settings(DEFAULTS)["broker_transport_options"]
    assert options["sentinel_kwargs"]["password"] == "hunter2"
    assert "hunter2" not in repr(settings) + repr(settings.sentinel) + repr(Broker.of(settings))
    assert settings.lock_url == SENTINEL


@pytest.mark.parametrize("name", ["broker_url", "result_backend", "redis_url"])
def test_a_sentinel_address_needs_the_name_of_the_master(name: str) -> None:
    with pytest.raises(NotConfigured, match="RELEASE_WORKER_SENTINEL_MASTER is not set"):
        given_settings(**{name: SENTINEL})


@pytest.mark.parametrize(("seconds", "kept"), [(0.1, 1), (1.0, 1), (1.2, 2), (19.5, 20)])
def test_rabbitmq_keeps_a_message_for_whole_seconds_and_redis_for_any(seconds: float, kept: float) -> None:
    assert countdown(make_app(Broker(RABBITMQ), None), seconds) == kept
    assert countdown(make_app(Broker("redis://broker.test/0"), None), seconds) == seconds
