"""Clients in environments of their own: the wheel with the oldest and the newest packages that it allows."""

import pytest

from release_worker.extras import EXTRAS
from tests.callers.conftest import caller
from tests.support import doors
from tests.support.workers import Service

WITHOUT_DATABASE = ("oldest", "newest")
WITH_DATABASE = ("oldest-database", "between-database", "newest-database")
every_environment = pytest.mark.parametrize("name", [*WITHOUT_DATABASE, *WITH_DATABASE])
without_the_extra = pytest.mark.parametrize("name", WITHOUT_DATABASE)
with_the_extra = pytest.mark.parametrize("name", WITH_DATABASE)

DATABASE = "needs sqlalchemy: install release-worker[database]"


@every_environment
def test_a_caller_without_a_database_asks_and_is_answered(name: str, served: Service, toolset: str) -> None:
    addresses = {"RELEASE_WORKER_BROKER_URL": served.broker_url, "RELEASE_WORKER_RESULT_BACKEND": served.broker_url}
    told = caller(name).told("without_database.py", addresses, toolset)
    missing = (
        f"whatever uses the database {DATABASE}"
        if name in WITHOUT_DATABASE
        else "RELEASE_WORKER_DATABASE_URL is not set"
    )
    assert told == {
        "numbers": [1, 1],
        "created": [True, False],
        "result": "CreateReleaseResult",
        "handle": [True, True],
        "status": [1, False],
        "not_found": f"toolset {toolset} has no release 99",
        "invalid": "the request is not valid: release_number: Input should be greater than or equal to 1",
        "timeout": "0.1",
        "needs_database": missing,
    }


@with_the_extra
def test_a_caller_with_a_database_has_the_ledger_and_joins_its_sessions(
    name: str, served: Service, toolset: str
) -> None:
    told = caller(name).told("with_database.py", served.environment, toolset)
    assert told == {
        "release": [1, True, True],
        "same_key": True,
        "handle": True,
        "conflict": True,
        "not_found": f"toolset {toolset} has no release 99",
        "unknown": "there is no request nothing",
        "session": [False, True, 2],
        "rolled_back": True,
        "all": [[toolset], []],
        "schedules": ["nightly"],
        "fires": True,
        "frozen": True,
        "removed": "nightly",
    }


@with_the_extra
def test_every_door_is_open_to_a_caller(name: str, served: Service, toolset: str) -> None:
    told = caller(name).told("doors.py", served.environment, toolset, doors.__file__)
    assert told == {way: [number, True] for number, way in enumerate(doors.WAYS, start=1)}


@without_the_extra
def test_every_public_name_can_be_used_without_the_extras(name: str) -> None:
    program = """
import release_worker, release_worker.errors, release_worker.testing
from release_worker import ReleaseClient, RequestHandle
from release_worker.testing import FakeReleaseClient, FakeRequest
released = FakeReleaseClient().create_release("acme/payments/billing", actor="test").result()
print(released.release_number)
"""
    ended = caller(name).python(program)
    assert (ended.stdout, ended.stderr) == ("1\n", "")


@without_the_extra
@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            "from release_worker import ReleaseClient; ReleaseClient.from_env()",
            f"a client with a database {DATABASE}",
        ),
        ("from release_worker.testing import exercise_component", f"exercise_component {DATABASE}"),
        ("from release_worker import app", "a worker needs sqlalchemy: install release-worker[worker]"),
        ("import release_worker.worker.config", "a worker needs sqlalchemy: install release-worker[worker]"),
    ],
)
def test_what_needs_an_extra_names_it(name: str, program: str, said: str) -> None:
    addresses = {
        "RELEASE_WORKER_BROKER_URL": "redis://broker.test",
        "RELEASE_WORKER_DATABASE_URL": "postgresql://db.test/app",
    }
    ended = caller(name).python(program, **addresses)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"release_worker.errors.NotConfigured: {said}"


@every_environment
@pytest.mark.parametrize("command", [["release-worker", "status", "a/b/c"], ["python", "-m", "release_worker"]])
def test_the_command_line_says_in_one_line_what_it_takes(name: str, command: list[str]) -> None:
    there = EXTRAS["database"] if name in WITH_DATABASE else ()
    missing = next(package for package in EXTRAS["worker"] if package not in there)
    ended = caller(name).run(*command)
    said = f"error: the command line needs {missing}: install release-worker[worker]\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", said)
