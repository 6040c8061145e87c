"""CI and the hooks before a commit run what a developer runs, and nothing else."""

import re
import tomllib
from typing import Any
from urllib.parse import urlsplit

import yaml

from release_worker.testing.plugin import BROKER, POSTGRES
from tests.support.repository import make_calls, make_recipe, make_targets, read

WORKFLOW = yaml.safe_load(read(".github/workflows/ci.yml"))
JOBS: dict[str, dict[str, Any]] = WORKFLOW["jobs"]
HOOKS: list[dict[str, Any]] = [
    hook for repository in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"] for hook in repository["hooks"]
]


def commands_of(job: dict[str, Any]) -> list[str]:
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_workflow_runs_make_targets_that_exist_and_nothing_else() -> None:
    commands = [command for job in JOBS.values() for command in commands_of(job)]
    assert commands
    for command in commands:
        assert make_calls(command) == [command.removeprefix("make ")]
        assert set(make_calls(command)) <= make_targets()


def test_the_workflow_runs_all_that_ci_run_runs() -> None:
    run = {target for job in JOBS.values() for command in commands_of(job) for target in make_calls(command)}
    expected = [line for line in read(".ci/run").splitlines() if line.startswith("make ")]
    assert run == {target for line in expected for target in make_calls(line)}


def test_the_workflow_tries_each_python_that_the_package_promises() -> None:
    classifiers = tomllib.loads(read("pyproject.toml"))["project"]["classifiers"]
    prefix = "Programming Language :: Python :: "
    promised = [line.removeprefix(prefix) for line in classifiers if line.startswith(prefix)]
    assert JOBS["test"]["strategy"]["matrix"]["python"] == promised
    assert "${{ matrix.python }}" in str(JOBS["test"]["steps"])


def test_the_workflow_tries_each_server_that_readme_promises() -> None:
    tried = JOBS["servers"]["strategy"]["matrix"]["include"]
    promised = re.search(
        r"You need PostgreSQL (\d+).(\d+), and Redis (\S+) or Valkey (\S+) or newer", read("README.md")
    )
    assert promised is not None
    first, last, redis, valkey = promised.groups()
    assert {job["postgres"] for job in tried} == {str(number) for number in range(int(first), int(last) + 1)}
    assert {f"redis:{redis}", f"valkey/valkey:{valkey}"} < {job["broker"] for job in tried}


def test_a_job_that_has_servers_gives_them_to_the_tests_and_no_other_job_does() -> None:
    for job in JOBS.values():
        assert ("services" in job) == (POSTGRES in job.get("env", {})) == (BROKER in job.get("env", {}))
    servers = JOBS["servers"]
    for name, variable in (("postgres", POSTGRES), ("broker", BROKER)):
        (port,) = servers["services"][name]["ports"]
        assert urlsplit(servers["env"][variable]).port == int(port.partition(":")[0])
        assert f"${{{{ matrix.{name} }}}}" in servers["services"][name]["image"]


def test_the_workflow_has_the_events_that_start_it_and_may_only_read() -> None:
    assert WORKFLOW["on"].keys() == {"push", "pull_request"}
    assert WORKFLOW["permissions"] == {"contents": "read"}


def test_hooks_are_local_and_download_nothing() -> None:
    config = yaml.safe_load(read(".pre-commit-config.yaml"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    assert {hook["language"] for hook in HOOKS} == {"system"}


def test_hooks_run_make_targets_that_exist_or_commands_of_make_check() -> None:
    check = [line.strip().removeprefix("$(BIN)/") for line in make_recipe("check").splitlines()]
    for hook in HOOKS:
        program, _, arguments = hook["entry"].partition(" ")
        if program == "make":
            assert arguments in make_targets()
        else:
            command = hook["entry"].removeprefix(".venv/bin/")
            whole = command if hook.get("pass_filenames") is False else f"{command} ."
            assert whole in check
