"""The release before, from its wheel."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from release_worker.testing.running.databases import EMPTY
from tests.support.servers import Servers
from tests.support.workers import Service, serving

(WHEEL,) = Path(__file__).parent.glob("*.whl")


@dataclass(frozen=True, kw_only=True)
class OldService(Service):
    """The same database and broker, for programs that import the release before."""

    package: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PYTHONPATH": str(self.package)}


def package_of(service: Service) -> Path:
    """The package that programs of the service import."""
    return Path(run(service, "import release_worker; print(release_worker.__path__[0])").strip())


def run(service: Service, program: str, *arguments: str) -> str:
    """A Python program, with the package of this code or of the release before; returns what it prints."""
    ended = subprocess.run(
        [sys.executable, "-P", "-c", program, *arguments], env=service.environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def command(service: Service, *arguments: str) -> str:
    """`release-worker …`; returns what it prints."""
    return run(service, "from release_worker.cli.main import main; main()", *arguments)


@pytest.fixture
def new(servers: Servers) -> Iterator[Service]:
    """A database without a schema, and a broker."""
    with (
        servers.databases.temporary(template=EMPTY) as database_url,
        serving(database_url, servers.broker(7)) as made,
    ):
        yield made


@pytest.fixture
def old(new: Service, tmp_path: Path) -> OldService:
    """The same, for the release before, which has made its schema."""
    with zipfile.ZipFile(WHEEL) as wheel:
        wheel.extractall(tmp_path)
    old = OldService(new.engine, new.database_url, new.broker_url, package=tmp_path)
    command(old, "db", "upgrade")
    return old
