"""The versions at work."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version

from release_worker.doctor.deployment import Deployment
from release_worker.doctor.finding import Finding, ok, wrong

OLDEST_PYTHON = (3, 11)
_PACKAGES = ("release-worker", "celery", "kombu", "redis", "SQLAlchemy", "psycopg")


def versions(_deployment: Deployment) -> Iterator[Finding]:
    """Ours, and those of what we rest on."""
    yield ok(", ".join([*(f"{name} {version(name)}" for name in _PACKAGES), f"Python {platform.python_version()}"]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        yield wrong(f"Python {platform.python_version()} is too old", "Use Python 3.11 or newer.")
