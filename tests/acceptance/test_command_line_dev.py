"""`release-worker dev`: servers, worker, beat and Flower in one terminal, used from another, and gone when it ends."""

import json
import os
import re
import shlex
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from release_worker.embedded.process import eventually
from release_worker.testing.running.databases import EMPTY
from tests.support.command_line import PROGRAM, CommandLine, settings
from tests.support.servers import Servers

SAMPLE = "demo/github/rest"
START_SECONDS = 60.0


@dataclass
class Dev:
    """A running `dev`, what it has printed so far, and the process itself."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def printed(self) -> str:
        return self.log.read_text()

    @property
    def elsewhere(self) -> CommandLine:
        """The command line in another terminal, where the `export` lines were pasted."""
        lines = [shlex.split(line) for line in self.printed.splitlines() if line.startswith("  export ")]
        return CommandLine(dict(assignment.split("=", 1) for _, assignment in lines))

    def child(self, name: str) -> int | None:
        """The pid of `celery -A release_worker <name>`; None while it is just being started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        running = (int(pid) for pid in children if f"\0{name}\0" in Path(f"/proc/{pid}/cmdline").read_text())
        return next(running, None)

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        self.process.send_signal(number)  # impatience changes nothing
        return self.process.wait(60)


@contextmanager
def running_dev(directory: Path, environment: Mapping[str, str] | None = None) -> Iterator[Dev]:
    """`dev`, started from a directory whose files must not matter, once it says that it runs."""
    elsewhere = directory.parent
    (elsewhere / "celeryconfig.py").write_text("raise RuntimeError('not ours')")
    log = elsewhere / "dev.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "dev", "--directory", directory.name],
            cwd=elsewhere,
            env=CommandLine(environment or {}).variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    dev = Dev(process, log)
    try:
        assert eventually(lambda: "Running." in dev.printed or process.poll() is not None, within=START_SECONDS)
        assert eventually(lambda: dev.printed.endswith((f"list {SAMPLE}\n", "set the same.\n")), within=5), dev.printed
        yield dev
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Kept from test to test, as `dev` keeps its data. As root, PostgreSQL's user cannot enter pytest's `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="rw-dev-", dir="/tmp") as parent:
        Path(parent).chmod(0o711)
        yield Path(parent) / "data"


def processes_of(directory: Path) -> list[str]:
    """The processes whose command line or environment names the directory, but for `dev` itself."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command, environment = ((process / file).read_bytes() for file in ("cmdline", "environ"))
            if int(process.name) != os.getpid() and os.fsencode(directory) in command + environment:
                found.append(f"{process.name} {command.decode()}")
    return found


on_linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc")


@on_linux
def test_dev_is_all_that_a_newcomer_needs_and_keeps_the_data_and_ends_with_its_processes(directory: Path) -> None:
    with running_dev(directory) as dev:
        assert f"data is kept in {directory}, logs in {directory / 'logs'}" in dev.printed
        assert "FLOWER_BASIC_AUTH" in dev.printed
        [flower] = re.findall(r"http://127\.0\.0\.1:\d+/", dev.printed)
        assert eventually(lambda: answers(flower), within=30)
        run = dev.elsewhere
        assert run("release", SAMPLE, "--notes", "my first release").status == 0
        [psql] = re.findall(r"^  (\S+psql .*)$", dev.printed, re.MULTILINE)
        assert run.variables["RELEASE_WORKER_DATABASE_URL"] == shlex.split(psql)[1]
        assert subprocess.run(shlex.split(psql), capture_output=True, text=True).stdout == "DELETE 2\n"
        assert "tools: 2 added" in run("rollback", SAMPLE, 1).out

        second = CommandLine({}).as_process("dev", "--directory", str(directory))
        assert second.status == 1
        user = f"another release-worker, process {dev.process.pid}"
        told = f"error: {directory} is in use by {user}: stop that one, or use another directory (--directory PATH)\n"
        assert second.err == told

        assert dev.stop(signal.SIGINT) == 0
        assert dev.printed.endswith("\nStopping …\n")
    assert processes_of(directory) == []

    with running_dev(directory) as dev:
        kept = json.loads(dev.elsewhere("list", SAMPLE, "--json").out)
        assert [(one["release_number"], one["kind"]) for one in kept["releases"]] == [(2, "backup"), (1, "release")]
        assert dev.elsewhere("release", SAMPLE, "--only-if-changed", "--json").document["release_number"] == 1

        assert dev.stop(signal.SIGTERM) == 0
    assert processes_of(directory) == []


@on_linux
def test_dev_starts_again_what_ends_by_itself(directory: Path) -> None:
    with running_dev(directory) as dev:
        for name in ("beat", "worker"):
            killed = dev.child(name)
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            said = f"{name} ended by itself with status -9; its log is {directory}/logs/{name}.log. It is started again"
            assert eventually(lambda: f"{said} in 1 s.\n" in dev.printed, within=30)  # noqa: B023
            again = directory / "logs" / f"{name}.2.log"
            assert eventually(lambda: again.exists() and dev.child(name) not in (None, killed), within=30)  # noqa: B023
        assert eventually(lambda: " ready." in (directory / "logs/worker.2.log").read_text(), within=START_SECONDS)
        assert dev.elsewhere("release", SAMPLE, "--json").status == 0
        assert dev.stop(signal.SIGTERM) == 0
    assert processes_of(directory) == []


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@on_linux
def test_nothing_outlives_a_dev_that_is_killed(directory: Path) -> None:
    with running_dev(directory) as dev:
        assert processes_of(directory)
        dev.process.kill()

        assert eventually(lambda: processes_of(directory) == [], within=30), processes_of(directory)


def test_dev_uses_the_servers_that_are_set(servers: Servers, directory: Path) -> None:
    with servers.databases.temporary(template=EMPTY) as url:
        broker = servers.broker(9)
        theirs = settings(database_url=url, broker_url=broker)
        with running_dev(directory, theirs) as dev:
            run = CommandLine(theirs)
            assert "export" not in dev.printed
            assert run("db", "check").status == 0
            refused = run("release", SAMPLE)
            assert refused.err.startswith(f"error: there is no toolset {SAMPLE}\n")
            assert dev.stop(signal.SIGTERM) == 0
