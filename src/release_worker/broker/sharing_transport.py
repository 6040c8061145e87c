"""kombu's Redis transport as both ends use it: a channel makes one client.

Upstream (kombu 5.7): `Channel._create_client` makes a new redis-py client for every command that the channel sends. A
client is a wrapper around a pool of connections, safe to share between threads, and making one takes longer than
sending the command.
Remove when kombu keeps the client of a channel's pool.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from kombu import Connection
from kombu.connection import ConnectionPool, PooledConnection
from kombu.transport import redis

from release_worker.broker.readable_messages import ReadableAMQP


class SharingChannel(redis.Channel):
    """A channel that sends its commands through one client, for as long as it has its pool."""

    _client_of_pool: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Overrides kombu's; the client that waits for messages is made once there, too."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        if self._client_of_pool is None or self._client_of_pool.connection_pool is not self.pool:
            self._client_of_pool = super()._create_client()
        return self._client_of_pool


class SharingTransport(redis.Transport):
    """kombu's Redis transport with such channels."""

    Channel = SharingChannel


class SharingSentinelChannel(SharingChannel, redis.SentinelChannel):
    """The same behind Sentinel."""


class SharingSentinelTransport(SharingTransport, redis.SentinelTransport):
    """The same behind Sentinel."""

    Channel = SharingSentinelChannel


class SharingConnection(Connection):
    """kombu's connection, with another transport if it would use one of its Redis ones."""

    ours: ClassVar[Mapping[Any, Any]] = {
        redis.Transport: SharingTransport,
        redis.SentinelTransport: SharingSentinelTransport,
    }

    def get_transport_cls(self) -> Any:
        found = super().get_transport_cls()
        return self.ours.get(found, found)

    def _pool_of(self, limit: int | None = None, **options: Any) -> "SharingPool":
        """Upstream (kombu 5.7): a pool makes connections of kombu's own class, whatever that of its first one is."""
        return SharingPool(self, limit, **options)

    Pool = _pool_of


class PooledSharingConnection(SharingConnection, PooledConnection):
    """One of a pool."""


class SharingPool(ConnectionPool):
    """A pool of such connections."""

    def new(self) -> PooledSharingConnection:
        return PooledSharingConnection(self, **dict(self.connection._info(resolve=False)))


class SharingAMQP(ReadableAMQP):
    """Celery's maker of connections and messages."""

    Connection = SharingConnection
