"""An installation without the extras: what is there works, and what is not says what to install.

`make callers` tries the same in real installations.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest

from release_worker.extras import EXTRAS
from tests.support.repository import read

PROJECT = tomllib.loads(read("pyproject.toml"))["project"]
OPTIONAL: dict[str, list[str]] = PROJECT["optional-dependencies"]

# What is installed for the tests, without the packages that are named.
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {missing} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def without(extra: str, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the program as if this extra was not installed."""
    code = WITHOUT.format(missing=set(EXTRAS[extra])) + program
    return subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], capture_output=True, text=True)


def name_of(requirement: str) -> str:
    found = re.match(r"[\w-]+", requirement)
    assert found is not None
    return found[0]


def required(extra: str) -> Iterator[str]:
    """The distributions that an extra adds, with those of the extras in it."""
    for requirement in OPTIONAL[extra]:
        if requirement.startswith("release-worker["):
            yield from required(requirement.removeprefix("release-worker[").rstrip("]"))
        else:
            yield name_of(requirement)


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_packages_that_are_looked_for_are_those_that_the_extra_installs(extra: str) -> None:
    always = {name_of(requirement) for requirement in PROJECT["dependencies"]}
    found = {
        distribution.lower().replace("_", "-")
        for package in EXTRAS[extra]
        for distribution in packages_distributions()[package]
    }
    assert found == set(required(extra)) - always - {"tzdata"}  # which is no code


def test_callers_are_tried_with_the_lowest_versions_that_are_allowed() -> None:
    lines = [line for line in read("tests/callers/oldest.txt").splitlines() if not line.startswith("#")]
    tried: dict[str, str] = dict(line.split("==") for line in lines)
    for requirement in (*PROJECT["dependencies"], *OPTIONAL["database"]):
        lowest = re.search(r">=([\d.]+)", requirement)
        if lowest is not None:
            assert f"{tried[name_of(requirement)]}.".startswith(f"{lowest[1]}."), requirement


def test_what_a_caller_imports_is_there_without_the_extras() -> None:
    program = """
import release_worker, release_worker.errors, release_worker.testing, release_worker.testing.plugin
for name in sorted({*release_worker.__all__} - {"app"}):
    getattr(release_worker, name)
client = release_worker.testing.FakeReleaseClient()
print(client.create_release("acme/payments/billing", actor="test").result().release_number)
"""
    ended = without("worker", program)
    assert (ended.stdout, ended.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    ("extra", "program", "said"),
    [
        (
            "database",
            "from release_worker import ReleaseClient\n"
            "ReleaseClient(broker_url='redis://broker.test', database_url='postgresql://db.test/app')",
            "a client with a database needs sqlalchemy: install release-worker[database]",
        ),
        (
            "database",
            "from release_worker.testing import FakeReleaseClient\n"
            "FakeReleaseClient().create_release('acme/payments/billing', actor='test', session=object())",
            "a session needs sqlalchemy: install release-worker[database]",
        ),
        (
            "database",
            "from release_worker.testing import exercise_component",
            "exercise_component needs sqlalchemy: install release-worker[database]",
        ),
        *(
            (
                "database",
                f"import release_worker.{package}",
                f"{who} needs sqlalchemy: install release-worker[database]",
            )
            for package, who in [
                ("store", "whatever uses the database"),
                ("state", "whatever uses the database"),
                ("queries", "whatever uses the database"),
                ("operations", "whatever uses the database"),
                ("domain.schedules", "a schedule"),
            ]
        ),
        (
            "openapi",
            "import release_worker.domain.openapi.reading",
            "an API document needs openapi_pydantic: install release-worker[openapi]",
        ),
        ("worker", "from release_worker import app", "a worker needs sqlalchemy: install release-worker[worker]"),
        ("worker", "import release_worker.worker", "a worker needs sqlalchemy: install release-worker[worker]"),
    ],
)
def test_what_needs_an_extra_names_it(extra: str, program: str, said: str) -> None:
    ended = without(extra, program)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"release_worker.errors.NotConfigured: {said}"


def test_the_command_line_says_in_one_line_what_it_takes() -> None:
    ended = without("worker", "from release_worker.__main__ import main; main()", "status", "acme/payments/billing")
    said = "error: the command line needs sqlalchemy: install release-worker[worker]\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", said)


def test_python_runs_the_package_as_the_command_line() -> None:
    command = [sys.executable, "-m", "release_worker", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{PROJECT['version']}\n"
