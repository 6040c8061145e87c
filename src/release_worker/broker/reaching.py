"""Whether the broker answers, for a probe."""

from typing import TYPE_CHECKING

from kombu import Connection
from kombu.exceptions import OperationalError

from release_worker.broker.address import Broker
from release_worker.domain.limits import Limits
from release_worker.errors import BrokerUnavailable

if TYPE_CHECKING:
    from celery import Celery


def reach(broker: Broker, limits: Limits) -> None:
    """Connect as a worker does. Raises BrokerUnavailable."""
    options = broker.settings(limits)["broker_transport_options"]
    with Connection(broker.url, transport_options=options, connect_timeout=5) as connection:
        _connect(connection)


def reach_as(app: "Celery") -> None:
    """Connect as an app does when it publishes. Raises BrokerUnavailable."""
    with app.connection_for_write(connect_timeout=5) as connection:
        _connect(connection)


def _connect(connection: Connection) -> None:
    try:
        connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
    except (OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
        raise BrokerUnavailable(reason=str(error) or type(error).__name__) from error
