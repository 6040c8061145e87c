"""What a Redis or a RabbitMQ says of itself."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kombu import Connection
from kombu.exceptions import OperationalError

from release_worker.broker.address import Broker
from release_worker.domain.limits import Limits
from release_worker.errors import BrokerUnavailable

_ASKED = ("maxmemory-policy", "appendonly")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`identity` is the same for every database of a server. `settings` is None if it does not tell them. `now`:
    seconds since 1970 on its clock when it was asked, None if it does not tell."""

    product: str
    version: str
    identity: str
    settings: Mapping[str, str] | None
    now: float | None


@contextmanager
def connected(broker: Broker, limits: Limits) -> Iterator[Connection]:
    """A connection as a worker makes it. Raises BrokerUnavailable, also for what goes wrong meanwhile."""
    options = broker.settings(limits)["broker_transport_options"]
    with Connection(broker.url, transport_options=options, connect_timeout=5) as connection:
        try:
            connection.connect()
            yield connection
        except (OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
            raise BrokerUnavailable(reason=str(error) or type(error).__name__) from error


def server_facts(broker: Broker, limits: Limits) -> ServerFacts:
    """Of the server that answers there. Raises BrokerUnavailable."""
    with connected(broker, limits) as connection:
        if broker.is_redis:
            return _redis_facts(connection.default_channel.client, connection.channel_errors)
        properties = getattr(connection.connection, "server_properties", {})
        product, version = (str(properties.get(name, "unknown")) for name in ("product", "version"))
        return ServerFacts(product, version, str(properties.get("cluster_name", "")), None, None)


def _redis_facts(client: Any, refusals: tuple[type[Exception], ...]) -> ServerFacts:
    info = client.info("server")
    valkey = info.get("valkey_version")
    settings: dict[str, str] | None = {}
    for name in _ASKED:
        try:
            settings = {**(settings or {}), **client.config_get(name)}
        except refusals:  # CONFIG is often forbidden where somebody else runs the server
            settings = None
            break
    seconds, microseconds = client.time()
    return ServerFacts(
        product="Valkey" if valkey else "Redis",
        version=str(valkey or info["redis_version"]),
        identity=str(info["run_id"]),
        settings=settings,
        now=seconds + microseconds / 1e6,
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many messages wait on a queue, and how many consumers the broker knows; None if it does not know."""

    waiting: int
    consumers: int | None


def backlog(broker: Broker, limits: Limits, queue: str) -> Backlog | None:
    """None if there is no such queue. Raises BrokerUnavailable."""
    with connected(broker, limits) as connection:
        channel = connection.default_channel
        if broker.is_redis:
            return Backlog(channel._size(queue), None)
        with suppress(*connection.channel_errors):
            declared = channel.queue_declare(queue, passive=True)
            return Backlog(declared.message_count, declared.consumer_count)
        return None


def ahead(now: Callable[[], float], ask: Callable[[], float]) -> float:
    """Seconds by which another clock is ahead of ours, or behind if below zero; as little as the time that asking took
    allows."""
    before, began = now(), time.monotonic()
    theirs = ask()
    took = time.monotonic() - began
    if theirs > before + took:
        return theirs - before - took
    return min(0.0, theirs - before)
