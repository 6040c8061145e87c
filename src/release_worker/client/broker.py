"""Celery's half of asking: an app for producers, and what it needs to be told."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.app.backends import by_url
from celery.exceptions import ImproperlyConfigured
from kombu.pools import ProducerPool

from release_worker.broker.routing import SHARED, addresses, envelope
from release_worker.broker.sharing_transport import SharingAMQP
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import NotConfigured
from release_worker.settings import PREFIX

# Publishing tries for some seconds and then says that it could not, rather than hang in a caller's request.
_PUBLISH_RETRIES = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}
# Without a ledger, Celery asks the result backend before it publishes, for twenty seconds by default.
_SUBSCRIBE_RETRIES = {**_PUBLISH_RETRIES, "max_retries": 5}


def make_app(broker_url: str, result_backend: str | None) -> Celery:
    """An app that publishes; opens no connection. Raises NotConfigured for servers of a kind that cannot be used."""
    # The loader and the backend are given outright: what the environment says for another Celery app changes neither.
    app = Celery("release_worker.client", amqp=SharingAMQP, loader="app", set_as_current=False)
    app.backend_cls = result_backend or "disabled://"
    app.conf.update(SHARED, **addresses(broker_url))
    app.conf.update(result_backend_transport_options={"retry_policy": _SUBSCRIBE_RETRIES})
    with _naming("broker_url"):
        app.connection_for_write().get_transport_cls()
    # By default, the pools are those of all apps of the process that use this broker; a child inherits them, and with
    # them its parent's connections.
    app._pool = app.connection_for_write().Pool(limit=app.conf.broker_pool_limit)
    app.amqp._producer_pool = ProducerPool(app.pool, limit=app.pool.limit)
    with _naming("result_backend"):
        by_url(app.backend_cls)
    return app


def send(app: Celery, message: Mapping[str, Any]) -> None:
    """Publish; raises what kombu raises."""
    try:
        app.send_task(**message, retry=True, retry_policy=_PUBLISH_RETRIES)
    except AttributeError:
        # If the connection breaks while the queue is declared, kombu 5.7 makes a new connection, and then publishes on
        # the channel of the old. The next try has the new one.
        app.send_task(**message, retry=True, retry_policy=_PUBLISH_RETRIES)


def close_app(app: Celery) -> None:
    """Close its connections; Celery itself leaves them open."""
    app.pool.force_close_all()
    app.close()
    made: Any = app._backend  # None where nobody needed one; the public property would make it now
    backend: dict[str, Any] = vars(made) if made is not None else {}
    if "result_consumer" in backend and "client" in backend:
        # A result that is collected later would connect again, to unsubscribe.
        backend["result_consumer"].subscribed_to.clear()
        backend["client"].connection_pool.disconnect()


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    """Turn what kombu and Celery say of an address of a kind that they do not know, or cannot use here, into
    NotConfigured; not in their words, which may hold a password."""
    try:
        yield
    except (LookupError, TypeError, ValueError, ImportError, ImproperlyConfigured):
        name = f"{PREFIX}{setting.upper()}"
        raise NotConfigured(f"{name} names a server of a kind that cannot be used here", setting=name) from None


def message_of(record: RequestRecord, *, behind_others: bool = False) -> dict[str, Any]:
    """The arguments of Celery's `send_task` for a request that is in the ledger."""
    return envelope(
        record.kind,
        record.id,
        record.arguments,
        in_ledger=True,
        toolset_id=record.toolset_id,
        behind_others=behind_others,
    )
