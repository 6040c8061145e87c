"""The transport that worker and client publish through."""

import pytest

from release_worker.broker.address import Broker
from release_worker.broker.careful_transport import CarefulChannel
from release_worker.broker.producer import make_app as make_client_app
from release_worker.broker.sharing_transport import SharingChannel
from release_worker.worker.app import make_app as make_worker_app

BROKER = "redis://broker.test/0"


def test_both_ends_use_a_channel_with_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELEASE_WORKER_BROKER_URL", BROKER)
    client, worker = make_client_app(Broker(BROKER), None), make_worker_app()
    assert client.connection_for_write().get_transport_cls().Channel is SharingChannel
    assert worker.connection_for_read().get_transport_cls().Channel is CarefulChannel
    assert issubclass(CarefulChannel, SharingChannel)


def test_what_a_client_publishes_through_is_such_a_channel() -> None:
    """Celery publishes through its pool of producers, and that through a pool of connections."""
    client = make_client_app(Broker(BROKER), None)
    with client.pool.acquire() as connection:
        assert connection.get_transport_cls().Channel is SharingChannel
    with client.amqp.producer_pool.connections.acquire() as connection:
        assert connection.get_transport_cls().Channel is SharingChannel


def test_other_transports_are_left_as_they_are() -> None:
    transport = make_client_app(Broker("memory://"), None).connection_for_write().get_transport_cls()
    assert transport.__module__ == "kombu.transport.memory"
