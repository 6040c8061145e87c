"""Who consumes from a broker, as its workers say it themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kombu.exceptions import OperationalError

from release_worker.broker.address import Broker
from release_worker.broker.producer import close_app, make_app
from release_worker.broker.reaching import reach_as
from release_worker.errors import BrokerUnavailable


@dataclass(frozen=True, slots=True)
class Consumer:
    """A worker that answered: its queues, and after how many seconds it lets Redis deliver a message again (None if it
    does not say)."""

    name: str
    queues: Sequence[str]
    visibility_timeout: float | None


def consumers(broker: Broker, *, within: float) -> Sequence[Consumer]:
    """Every worker of this broker that answers within so many seconds, be it ours or not. Raises BrokerUnavailable."""
    app = make_app(broker, None)
    try:
        reach_as(app)  # a question would be asked again and again
        inspect = app.control.inspect(timeout=within / 2)
        queues: Mapping[str, Any] = inspect.active_queues() or {}
        conf: Mapping[str, Any] = inspect.conf() or {}
    except (OperationalError, OSError) as error:
        raise BrokerUnavailable(reason=str(error) or type(error).__name__) from error
    finally:
        close_app(app)
    return [
        Consumer(name, [queue["name"] for queue in queues[name]], _visibility_timeout(conf.get(name)))
        for name in sorted(queues)
    ]


def _visibility_timeout(conf: Any) -> float | None:
    options = conf.get("broker_transport_options") if isinstance(conf, Mapping) else None
    found = options.get("visibility_timeout") if isinstance(options, Mapping) else None
    return float(found) if isinstance(found, int | float) else None
