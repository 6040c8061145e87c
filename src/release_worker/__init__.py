"""Release and exact rollback of toolsets, as Celery tasks on PostgreSQL and Redis.

    from release_worker import ReleaseClient

`ReleaseClient` is for apps that ask, `AsyncReleaseClient` for those that await; `app` is the worker's Celery app, for
`celery -A release_worker worker`. Each is imported when it is first used, so that a caller does not load the worker,
nor SQLAlchemy without a database.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from release_worker.client import ReleaseClient, RequestHandle
    from release_worker.client.async_client import AsyncReleaseClient
    from release_worker.client.async_handle import AsyncRequestHandle
    from release_worker.worker.app import app

__all__ = ["AsyncReleaseClient", "AsyncRequestHandle", "ReleaseClient", "RequestHandle", "app"]

_HOMES = {
    "AsyncReleaseClient": "release_worker.client.async_client",
    "AsyncRequestHandle": "release_worker.client.async_handle",
    "ReleaseClient": "release_worker.client",
    "RequestHandle": "release_worker.client",
    "app": "release_worker.worker.app",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
