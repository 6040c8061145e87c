"""The transport that worker and client publish through, on a real server."""

from release_worker.broker.sharing_transport import SharingConnection
from tests.support.servers import Servers


def test_a_channel_has_one_client_for_as_long_as_it_has_its_connections(servers: Servers) -> None:
    with SharingConnection(servers.broker_url) as connection:
        channel = connection.channel()
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
            assert first.ping()
        channel._disconnect_pools()  # as kombu does where it has lost the server
        with channel.conn_or_acquire() as after:
            assert after is not first
            assert after.ping()
