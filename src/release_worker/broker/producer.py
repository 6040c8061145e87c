"""A Celery app for programs that publish and do no work, and its configuration."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.app.backends import by_url
from celery.exceptions import ImproperlyConfigured
from kombu.pools import ProducerPool

from release_worker.broker.address import Broker, sentinel_options
from release_worker.broker.publishing import PUBLISH_RETRIES
from release_worker.broker.routing import SHARED
from release_worker.domain.limits import DEFAULTS
from release_worker.errors import NotConfigured

# Without a ledger, Celery asks the result backend before it publishes, for twenty seconds by default.
_SUBSCRIBE_RETRIES = {**PUBLISH_RETRIES, "max_retries": 5}


def make_app(broker: Broker, result_backend: str | None) -> Celery:
    """An app that publishes; opens no connection. Raises NotConfigured for servers of a kind that cannot be used.

    Upstream (Celery 5.7, kombu 5.7): connection pools are those of all apps of the process that use this broker. A
    child inherits them, and with them its parent's connections. So the app gets pools of its own.
    Remove when an app can be made with pools of its own.
    """
    from release_worker.broker.sharing_transport import SharingAMQP  # brings redis, which a mere import does not need

    # The loader and the backend are given outright: what the environment says for another Celery app changes neither.
    app = Celery("release_worker.client", amqp=SharingAMQP, loader="app", set_as_current=False)
    app.backend_cls = result_backend or "disabled://"
    app.conf.update(SHARED, **broker.settings(DEFAULTS))
    app.conf.update(
        result_backend_transport_options={"retry_policy": _SUBSCRIBE_RETRIES, **sentinel_options(broker.sentinel)}
    )
    with _naming("broker_url"):
        app.connection_for_write().get_transport_cls()
    app._pool = app.connection_for_write().Pool(limit=app.conf.broker_pool_limit)
    app.amqp._producer_pool = ProducerPool(app.pool, limit=app.pool.limit)
    with _naming("result_backend"):
        by_url(app.backend_cls)
    return app


def close_app(app: Celery) -> None:
    """Close its connections.

    Upstream (Celery 5.7): `Celery.close` leaves the result backend's connections open, and a result that is collected
    later would connect again, to unsubscribe.
    Remove when `Celery.close` closes the backend.
    """
    app.pool.force_close_all()
    app.close()
    made: Any = app._backend  # None if nobody needed one; the public property would make it now
    backend: dict[str, Any] = vars(made) if made is not None else {}
    if "result_consumer" in backend and "client" in backend:
        backend["result_consumer"].subscribed_to.clear()
        backend["client"].connection_pool.disconnect()


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    """Turn what kombu and Celery say of an address of a kind that they do not know, or cannot use here, into
    NotConfigured; not in their words, which may hold a password."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ImportError, ImproperlyConfigured):
        from release_worker.settings import PREFIX

        name = f"{PREFIX}{setting.upper()}"
        raise NotConfigured(f"{name} names a server of a kind that cannot be used here", setting=name) from None
