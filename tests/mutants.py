"""Change the product a little, in every way that mutmut knows, and see whether a test notices: `make mutants`.

    python -m tests.mutants [ROOM …] [--only PATTERN]

Each room is mutated in a copy under `.mutants`, where a later run goes on with what has changed. Ends with the score
and the changes that no test noticed.
"""

import argparse
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIES = ROOT / ".mutants"
COPIED = ("src", "tests", "docs", "pyproject.toml", "celeryconfig.py", "README.md", "docker-compose.yml", "Dockerfile")
MUTMUT = Path(sys.executable).with_name("mutmut")


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
            *_unit("retry_policy", "toolset_lock", "worker_app"),
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
    return max(run(room, pattern=arguments.only) for room in arguments.rooms or ROOMS.values())


def run(room: Room, *, pattern: str | None) -> int:
    """Mutate a room, run its tests against each mutant, and print what came of it."""
    copy = COPIES / room.package
    _refresh(copy, room)
    patterns = [pattern] if pattern else []
    # One at a time: tests of time and of concurrency are not for a machine that is busy with its like.
    ended = subprocess.run([MUTMUT, "run", "--max-children", "1", *patterns], cwd=copy)
    if ended.returncode == 0:
        _report(copy, room)
    return ended.returncode


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


def _report(copy: Path, room: Room) -> None:
    subprocess.run([MUTMUT, "export-cicd-stats"], cwd=copy, check=True, stdout=subprocess.DEVNULL)
    counts = json.loads((copy / "mutants" / "mutmut-cicd-stats.json").read_text())
    survivors = subprocess.run([MUTMUT, "results"], cwd=copy, check=True, capture_output=True, text=True).stdout
    print(f"\n{room.package}: {counts['killed'] + counts['timeout']} of {counts['total']} mutants were noticed")
    print(survivors)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("rooms", nargs="*", type=_room, metavar="ROOM", help=f"of {', '.join(ROOMS)}; all by default")
    parser.add_argument("--only", help="mutants of this name, such as release_worker.domain.changes.*")
    return parser.parse_args()


def _room(name: str) -> Room:
    if name not in ROOMS:
        raise argparse.ArgumentTypeError(f"there is no {name}")
    return ROOMS[name]


if __name__ == "__main__":
    sys.exit(main())
