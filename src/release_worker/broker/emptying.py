"""Taking away what is left in our queues, before tests begin."""

from kombu import Connection

from release_worker.broker.address import Broker
from release_worker.domain.limits import DEFAULTS


def empty_queues(broker: Broker) -> None:
    """Throw away the messages that wait in our queues, and nothing else of the broker's."""
    settings = broker.settings(DEFAULTS)
    with Connection(broker.url, transport_options=settings["broker_transport_options"]) as connection:
        for queue in settings["task_queues"]:
            bound = queue(connection.default_channel)
            bound.declare()
            bound.purge()
