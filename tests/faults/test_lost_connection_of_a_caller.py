"""A caller whose connection to the broker breaks is told so in the client's own words, or needs not be told."""

from typing import Any

import pytest
from kombu import pools
from kombu.transport import redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.faults.shop import Shop
from tests.support.plug_ins import Once, raising


def test_a_connection_that_breaks_while_the_queue_is_declared_is_made_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kombu 5.7 declares on a new connection, and then publishes on the channel of the old one."""
    breaking = Once(raising(RedisConnectionError("the broker restarts")))
    bind = redis.Channel._queue_bind

    def break_once(*positional: Any, **keywords: Any) -> Any:
        breaking()
        return bind(*positional, **keywords)

    pools.reset()  # a connection of an earlier test has declared the queue already
    monkeypatch.setattr(redis.Channel, "_queue_bind", break_once)
    handle = shop.client.create_release(shop.billing.path, actor="tester")

    assert breaking.calls > 1
    assert handle.published
    assert shop.request(handle.id).status == "queued"
