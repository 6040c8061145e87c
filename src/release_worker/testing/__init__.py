"""What apps and plug-ins are tested with, in any test framework.

from release_worker.testing import FakeReleaseClient, exercise_component
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from release_worker.extras import require

if TYPE_CHECKING:
    from release_worker.testing.conformance import exercise_component
    from release_worker.testing.estate import Edit, Owner
    from release_worker.testing.fake_client import FakeReleaseClient, FakeRequest
    from release_worker.testing.running.release_worker import ReleaseWorker
    from release_worker.testing.running.servers import Servers
    from release_worker.testing.running.service import Service

__all__ = [
    "Edit",
    "FakeReleaseClient",
    "FakeRequest",
    "Owner",
    "ReleaseWorker",
    "Servers",
    "Service",
    "exercise_component",
]

_HOMES = {
    "Edit": "release_worker.testing.estate",
    "FakeReleaseClient": "release_worker.testing.fake_client",
    "FakeRequest": "release_worker.testing.fake_client",
    "Owner": "release_worker.testing.estate",
    "ReleaseWorker": "release_worker.testing.running.release_worker",
    "Servers": "release_worker.testing.running.servers",
    "Service": "release_worker.testing.running.service",
    "exercise_component": "release_worker.testing.conformance",
}


def __getattr__(name: str) -> Any:
    # Imported when it is used: the fake client needs no database's driver, and the conformance suite no broker's.
    if name in _HOMES:
        if not name.startswith("Fake"):
            require("database", name)
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
