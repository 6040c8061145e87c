"""Whether the broker answers, for a probe."""

from kombu import Connection
from kombu.exceptions import OperationalError

from release_worker.broker.address import Broker
from release_worker.domain.limits import Limits
from release_worker.errors import BrokerUnavailable


def reach(broker: Broker, limits: Limits) -> None:
    """Connect as a worker does. Raises BrokerUnavailable."""
    options = broker.settings(limits)["broker_transport_options"]
    with Connection(broker.url, transport_options=options, connect_timeout=5) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
        except (OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
            raise BrokerUnavailable(reason=str(error) or type(error).__name__) from error
