"""What other apps import: submit a request, wait for its result.

With a database URL, or a session of the caller's, the request is written down before it is published, so that an
accepted request cannot be lost. Without, it is only published, and the worker writes it down when it arrives.
SQLAlchemy is not imported until a database is used.
"""

from release_worker.client.release_client import ReleaseClient
from release_worker.client.request_handle import RequestHandle

__all__ = ["ReleaseClient", "RequestHandle"]
