"""Environments of callers, and a worker for them that runs in the environment of the tests."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.billing import a_full_toolset
from tests.support.repository import ROOT
from tests.support.servers import Servers
from tests.support.workers import Service, running_worker, service

CALLERS = ROOT / "build" / "callers"
PROGRAMS = Path(__file__).parent


@dataclass(frozen=True)
class Caller:
    """An environment with the wheel, without the repository."""

    home: Path

    def run(self, *command: str | Path, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run one of its programs elsewhere, with these variables and no other RELEASE_WORKER_…"""
        ours = ("RELEASE_WORKER_", "PYTHON")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return subprocess.run(
            [self.home / "bin" / command[0], *command[1:]],
            env={**environment, **variables},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def python(self, program: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return self.run("python", "-W", "error", "-c", program, **variables)

    def told(self, program: str, variables: Mapping[str, str], *arguments: str | Path) -> dict[str, Any]:
        """What one of the programs beside this file printed."""
        ended = self.run("python", PROGRAMS / program, *arguments, **variables)
        assert ended.returncode == 0, ended.stderr
        found: dict[str, Any] = json.loads(ended.stdout)
        return found


def caller(name: str) -> Caller:
    home = CALLERS / name
    assert (home / ".made-from").exists(), "make callers makes it"
    return Caller(home)


@pytest.fixture(scope="package")
def served(servers: Servers) -> Iterator[Service]:
    """A database and a broker with a worker."""
    with service(servers, broker_database=1) as made, running_worker(made, "--hostname", "callers@%h"):
        yield made


@pytest.fixture
def toolset(served: Service) -> str:
    """The path of one in an organization of its own."""
    organization = f"org-{uuid4().hex[:12]}"
    a_full_toolset(served.engine, organization=organization)
    return f"{organization}/payments/billing"
