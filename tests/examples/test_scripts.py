"""examples/bare_celery, examples/psql and examples/node: one release each, by programs that have nothing of ours."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from release_worker.embedded.wheels import postgres_binaries
from release_worker.testing import ReleaseWorker

EXAMPLES = Path(__file__).parents[2] / "examples"
NODE = EXAMPLES / "node"
# Runs a program as if our package was not installed.
WITHOUT_US = """
import runpy, sys
sys.modules["release_worker"] = None
program = sys.argv.pop(1)
sys.argv[0] = program
runpy.run_path(program, run_name="__main__")
"""

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and (NODE / "node_modules/pg").is_dir()),
    reason="needs Node, and its package pg: make examples installs it if npm is there",
)


def run(*command: str | Path, variables: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    path = f"{postgres_binaries()}{os.pathsep}{os.environ['PATH']}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELEASE_WORKER_")}
    return subprocess.run(
        command, env={**inherited, **variables, "PATH": path}, capture_output=True, text=True, timeout=120
    )


def test_celery_alone_releases_and_rolls_back(release_worker: ReleaseWorker) -> None:
    toolset = release_worker.sample_toolset()
    addresses = {"BROKER_URL": release_worker.broker_url, "RESULT_BACKEND": release_worker.broker_url}

    def app(*arguments: str) -> str:
        program = EXAMPLES / "bare_celery/app.py"
        ended = run(sys.executable, "-W", "error", "-c", WITHOUT_US, program, *arguments, variables=addresses)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    first = app(toolset, "build-1")
    assert first == f"release 1 made\nnothing to go back to: toolset {toolset} has no release before its current one\n"
    assert app(toolset, "build-2").splitlines()[-1] == "back at release 1"
    assert [one.release.release_number for one in release_worker.client.releases(toolset)] == [2, 1]


@pytest.mark.parametrize(
    "program",
    [
        pytest.param([EXAMPLES / "psql/release.sh"], id="psql"),
        pytest.param(["node", NODE / "release.mjs"], id="node", marks=needs_node),
    ],
)
def test_a_program_that_has_only_sql_renames_and_releases_once(
    program: list[str | Path], release_worker: ReleaseWorker
) -> None:
    toolset = release_worker.sample_toolset()
    database = {"DATABASE_URL": release_worker.database_dsn}
    for _ in range(2):
        ended = run(*program, toolset, "New name", "build-1", variables=database)
        assert (ended.returncode, ended.stdout) == (0, "release 1\n"), ended.stderr
    assert release_worker.client.show_toolset(toolset).name == "New name"

    refused = run(*program, toolset, "Other name", "build-1", variables=database)
    assert refused.returncode != 0
    assert "build-1" in refused.stderr
    assert release_worker.client.show_toolset(toolset).name == "New name"
