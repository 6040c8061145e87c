"""A client for commands that need a database and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_worker.client import ReleaseClient

_NO_BROKER = "memory://"  # nothing is asked


@contextmanager
def database_client() -> Iterator["ReleaseClient"]:
    """A client for RELEASE_WORKER_DATABASE_URL. Raises NotConfigured."""
    from release_worker.client import ReleaseClient
    from release_worker.settings import read_settings

    settings = read_settings()
    settings.require("database_url")
    with ReleaseClient._of(settings.model_copy(update={"broker_url": _NO_BROKER})) as client:
        yield client
