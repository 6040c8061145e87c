"""`release-worker doctor`, as an operator and a script run it. Its deployment is of its own: what other tests leave
queued on purpose is wrong with a deployment."""

from collections.abc import Iterator

import pytest

from release_worker.doctor.checks import CHECKS
from release_worker.embedded.python_process import PythonProcess
from tests.support.command_line import CommandLine
from tests.support.servers import Servers
from tests.support.workers import Service, running_worker, service


@pytest.fixture(scope="module")
def served(servers: Servers) -> Iterator[Service]:
    with service(servers, broker_database=14) as made:
        yield made


@pytest.fixture(scope="module")
def worker(served: Service) -> Iterator[PythonProcess]:
    with running_worker(served, "--hostname", "doctor@%h") as started:
        yield started


def test_it_says_one_line_for_each_finding_in_groups(run: CommandLine) -> None:
    ended = run.as_process("doctor")
    assert (ended.status, ended.err) == (0, "")
    lines = ended.out.splitlines()
    groups = [line.removesuffix(":") for line in lines if not line.startswith(" ")]
    assert groups == list(dict.fromkeys(check.group for check in CHECKS))
    assert any(line.split() == ["ok", "no", "request", "is", "stuck"] for line in lines)
    assert [line for line in lines if line.startswith("  warning")] != []  # the tests' role is a superuser


def test_what_is_wrong_comes_with_what_to_do_and_fails(nobody_works: CommandLine) -> None:
    ended = nobody_works("doctor")
    assert ended.status == 1
    assert "  wrong   no worker answers. Start one: celery -A release_worker worker" in ended.out.splitlines()


def test_a_script_gets_all_of_it_as_json(run: CommandLine, worker: PythonProcess) -> None:
    assert worker.status is None
    document = run("doctor", "--json").document
    assert document["ok"]
    assert {one["check"] for one in document["findings"]} <= {check.name for check in CHECKS}
    assert {frozenset(one) for one in document["findings"]} == {
        frozenset(("check", "group", "level", "found", "remedy"))
    }


def test_the_role_is_measured_as_it_is_told(run: CommandLine) -> None:
    found = {one["check"]: one for one in run("doctor", "--as", "reader", "--json").document["findings"]}
    assert "IN ROLE release_worker_reader" in found["role"]["remedy"]


def test_no_password_is_shown(served: Service, run: CommandLine) -> None:
    wrong = served.database_url.replace("postgres@", "nobody:s3cret@").replace("//postgres", "//nobody:s3cret")
    broken = CommandLine({**run.environment, "RELEASE_WORKER_DATABASE_URL": wrong})
    ended = broken("doctor")
    assert ended.status == 1
    assert "s3cret" not in ended.out + ended.err
