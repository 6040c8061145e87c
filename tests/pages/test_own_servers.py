"""README's way from nothing to a worker, beat and Flower on one's own servers: each command is run as it is printed, on
the servers of Debian's packages. Only the addresses and Flower's port are those of the test."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from release_worker.embedded.process import eventually
from tests.support.installed import Installed, free_port, installed_servers, needs_installed_servers
from tests.support.repository import ROOT, read
from tests.support.workers import LONG

HEADING = "## Against your own PostgreSQL and Redis"
SECTION = read("README.md").split(f"\n{HEADING}\n")[1].split("\n## ")[0]
COMMANDS = [command.replace("\n> ", "\n") for command in re.findall(r"^\$ (.*(?:\n> .*)*)$", SECTION, re.MULTILINE)]
LOGIN = "operator:some-long-password"
RELEASE = "release-worker release demo/github/rest"


class Terminal:
    """A shell's environment in a checkout: what is exported stays."""

    def __init__(self, checkout: Path, environment: Mapping[str, str]) -> None:
        self._checkout, self._environment = checkout, environment
        self._exports: list[str] = []

    def run(self, command: str) -> str:
        """What a command prints; it must not fail."""
        if command.startswith("export "):
            self._exports.append(command)
        ended = subprocess.run(
            ["bash", "-c", self._script(command)],
            cwd=self._checkout,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert ended.returncode == 0, f"$ {command}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    @contextmanager
    def running(self, command: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A command that goes on, in a terminal of its own, until its Ctrl-C."""
        script = self._script(f"exec {command}")
        log = self._checkout / f"{len(list(self._checkout.glob('*.log')))}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self._checkout,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(LONG)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()

    def _script(self, command: str) -> str:
        return "\n".join(["set -o pipefail", *self._exports, command])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What an image is made of, and nothing that lies about here."""
    made = tmp_path / "checkout"
    made.mkdir()
    for name in re.findall(r"^!(.*)$", read(".dockerignore"), re.MULTILINE):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, made / name)
    return made


def with_places(command: str, installed: Installed) -> str:
    return command.replace("@127.0.0.1/", f"@127.0.0.1:{installed.postgres_port}/").replace(
        "127.0.0.1:6379/", f"127.0.0.1:{installed.redis_port}/"
    )


def test_there_are_at_most_five_commands() -> None:
    assert len(COMMANDS) <= 5
    assert f"`{RELEASE}`" in SECTION


@needs_installed_servers
def test_five_commands_lead_from_nothing_to_a_release_that_flower_shows(checkout: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    port = free_port()
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("RELEASE_WORKER_", "FLOWER_"))
    }
    environment = {
        **inherited,
        "PATH": os.pathsep.join([str(tmp_path / "venv/bin"), inherited["PATH"]]),
        "FLOWER_PORT": str(port),
        "TMPDIR": str(tmp_path),
    }
    redis = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
    with installed_servers(owner="app", password="secret", redis_options=redis) as installed:
        terminal = Terminal(checkout, environment)
        *prepare, worker, flower = [with_places(command, installed) for command in COMMANDS]
        for command in prepare:
            terminal.run(command)
        with terminal.running(worker) as working, terminal.running(flower):
            flowers = f"http://127.0.0.1:{port}"
            assert eventually(lambda: status_of(f"{flowers}/healthcheck") == 200, within=LONG)
            assert status_of(f"{flowers}/tasks") == 401
            assert "Release 1" in terminal.run(RELEASE)
            [request] = json.loads(terminal.run("release-worker requests list --json"))
            assert eventually(lambda: status_of(f"{flowers}/task/{request['id']}", LOGIN) == 200, within=LONG)
            assert terminal.run("release-worker healthcheck") == "healthy: broker, database, schema, worker\n"
            probe = "release-worker healthcheck --only beat || true"
            assert eventually(lambda: terminal.run(probe) == "healthy: beat\n", within=LONG)
            assert working.poll() is None


def status_of(url: str, login: str | None = None) -> int | None:
    """The status with which a page answers; None if nobody does."""
    request = urllib.request.Request(url)
    if login is not None:
        request.add_header("Authorization", f"Basic {b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
