"""Change the product a little, in every way that mutmut knows, and see whether a test notices: `make mutants`.

    python -m tests.mutants [ROOM …] [--only PATTERN] [--sample NUMBER [--seed SEED]]

Each room is mutated in a copy under `.mutants`, where a later run goes on with what has changed. All runs of tests
share servers that are started once. For each change, only the tests run that reach the changed function, until one
fails. Ends with the score and the changes that no test noticed.
"""

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from redis import Redis

from release_worker.testing.plugin import BROKER, POSTGRES
from release_worker.testing.running.servers import embedded_for_tests

ROOT = Path(__file__).parents[1]
COPIES = ROOT / ".mutants"
COPIED = ("src", "tests", "docs", "pyproject.toml", "celeryconfig.py", "README.md", "docker-compose.yml", "Dockerfile")
MUTMUT = Path(sys.executable).with_name("mutmut")
# A run of no mutant still makes them all, and looks which test reaches which function.
NO_MUTANT = "none"
# The exit status of pytest, or the signal that ended it, for a mutant that was noticed: mutmut's own list.
KILLED, TIMED_OUT, SURVIVED, NO_TESTS = (1, 3), (-24, 24, 36, 152, 255), 0, (5, 33)


@dataclass(frozen=True)
class Room:
    """A package, and the tests that are quick enough to be run for each of its mutants."""

    package: str
    tests: tuple[str, ...]


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/test_{name}.py" for name in names)


def _integration(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/{name}.py" for name in names)


ROOMS = {
    "domain": Room(
        "domain",
        _unit("canonical_json", "changes", "limits", "messages", "refusals_in_words", "release_digests", "requests"),
    ),
    "operations": Room(
        "operations",
        _integration(
            "rollback/test_rollback",
            "rollback/test_rollback_deployment",
            "rollback/test_rollback_missing_dependencies",
            "rollback/test_rollback_shared_impact",
            "rollback/test_rollback_to_older_software",
            "rollback/test_read_back",
            "rollback/test_plans",
            "staging/test_staging",
            "staging/test_publishing",
            "bundles/test_bundles",
            "ledger/test_cancelling",
            "capture/test_capture",
            "capture/test_drift",
            "capture/test_integrity",
            "ledger/test_organizations_apart",
            "retention/test_retention",
            "retention/test_retention_spares",
            "ledger/test_sweeper",
            "worker/test_waiting",
        ),
    ),
    "broker": Room(
        "broker",
        (
            *_unit("public_names", "publishing", "requests", "transport", "worker_app"),
            *_integration("ledger/test_sweeper", "broker/test_transport_on_valkey"),
        ),
    ),
    "worker": Room(
        "worker",
        (
            *_unit("inbox", "retry_policy", "toolset_lock", "worker_app"),
            *_integration(
                "worker/test_mailbox",
                "worker/test_mailbox_lock_and_lease",
                "ledger/test_accepting",
                "ledger/test_organizations_apart",
                "ledger/test_sweeper",
                "worker/test_waiting",
            ),
        ),
    ),
}


def main() -> int:
    """Whether mutmut could do its work; survivors are for people to judge."""
    arguments = _arguments()
    with embedded_for_tests() as servers:
        os.environ.update({POSTGRES: servers.postgres.admin_url, BROKER: _on_a_port(servers.redis_url)})
        os.nice(10)  # the tests, not the servers that they wait for
        rooms = arguments.rooms or ROOMS.values()
        return max(run(room, only=arguments.only, sample=arguments.sample, seed=arguments.seed) for room in rooms)


def _on_a_port(redis_url: str) -> str:
    """The URL of the same broker, on a free port of this machine too."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Redis.from_url(redis_url) as redis:
        redis.config_set("bind", "127.0.0.1")
        redis.config_set("port", port)
    return f"redis://127.0.0.1:{port}"


def run(room: Room, *, only: str | None, sample: int | None, seed: int) -> int:
    """Mutate a room, run its tests against each mutant or against a sample, and print what came of it."""
    copy = COPIES / room.package
    _refresh(copy, room)
    chosen = [only] if only else []
    if sample is not None:
        subprocess.run([MUTMUT, "run", NO_MUTANT], cwd=copy, stderr=subprocess.DEVNULL)
        chosen = _sample(copy, only, sample, seed)
    # One at a time: tests of time and of concurrency are not for a machine that is busy with its like.
    status = subprocess.run([MUTMUT, "run", "--max-children", "1", *chosen], cwd=copy).returncode
    if status == 0:
        _report(copy, room, chosen if sample is not None else None)
    return status


def _sample(copy: Path, only: str | None, number: int, seed: int) -> list[str]:
    """The same names for the same seed, as long as the package stays as it is."""
    names = sorted(name for name in _results(copy) if only is None or fnmatch(name, only))
    return sorted(random.Random(seed).sample(names, min(number, len(names))))


def _results(copy: Path) -> dict[str, int | None]:
    """The exit status of the tests by mutant; None if it has not been judged."""
    found: dict[str, int | None] = {}
    for meta in (copy / "mutants").rglob("*.py.meta"):
        found |= json.loads(meta.read_text())["exit_code_by_key"]
    return found


def _refresh(copy: Path, room: Room) -> None:
    """The repository as it is now, beside the results of the run before."""
    copy.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        source, target = ROOT / name, copy / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    chosen = {
        "only_mutate": [f"src/release_worker/{room.package}/*"],
        "pytest_add_cli_args_test_selection": list(room.tests),
    }
    lines = "".join(f"{name} = {json.dumps(values)}\n" for name, values in chosen.items())
    project = copy / "pyproject.toml"
    project.write_text(project.read_text().replace("[tool.mutmut]\n", f"[tool.mutmut]\n{lines}"))


def _report(copy: Path, room: Room, sample: Sequence[str] | None) -> None:
    """The score, of all mutants or of a sample, and those that were not noticed."""
    judged = _results(copy)
    chosen = {name: judged[name] for name in (judged if sample is None else sample)}
    noticed = [name for name, status in chosen.items() if status in (*KILLED, *TIMED_OUT)]
    of_all = "" if sample is None else f", a sample of {len(judged)}"
    print(f"\n{room.package}: {len(noticed)} of {len(chosen)} mutants were noticed{of_all}")
    said: dict[int | None, str] = {None: "not checked", SURVIVED: "survived"} | dict.fromkeys(NO_TESTS, "no tests")
    for name, status in sorted(chosen.items()):
        if name not in noticed:
            print(f"    {name}: {said.get(status, f'status {status}')}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("rooms", nargs="*", type=_room, metavar="ROOM", help=f"of {', '.join(ROOMS)}; all by default")
    parser.add_argument("--only", help="mutants of this name, such as release_worker.domain.changes.*")
    parser.add_argument("--sample", type=int, help="so many mutants of each room, chosen by chance; all by default")
    parser.add_argument("--seed", type=int, default=1, help="of the choice, which is the same for the same seed; 1")
    return parser.parse_args()


def _room(name: str) -> Room:
    if name not in ROOMS:
        raise argparse.ArgumentTypeError(f"there is no {name}")
    return ROOMS[name]


if __name__ == "__main__":
    sys.exit(main())
