"""Celery's processes as an operator runs them: each in a session of its own, so that a kill reaches what we mean."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from release_worker.embedded import EmbeddedServers
from release_worker.embedded.process import eventually
from release_worker.settings import environment_with

START_SECONDS = 60.0
STOP_SECONDS = 40.0

# Its standard input ends when we do, be it by SIGKILL; then the whole session is ended.
GUARD = 'read -r _; kill -s KILL -- "-$1"'
ROOT = Path(__file__).parents[2]

# A killed worker's messages come back after the visibility timeout, 300 s as shipped. The suite shortens it, so that
# this, too, happens within a run; it also makes the broker deliver slow tasks twice, which must not matter.
#
# A soft shutdown always takes as long as it may, 60 s as shipped.
CELERYCONFIG = """
from release_worker.broker.routing import transport_options
from release_worker.domain.limits import DEFAULTS

broker_transport_options = {**transport_options(DEFAULTS), "queue_order_strategy": "priority", "visibility_timeout": 20}
worker_soft_shutdown_timeout = 3
"""


@dataclass
class CeleryProcess:
    """`celery -A <app> <arguments>` in `directory`, where its log is. Ends with its block, whatever state it is in."""

    name: str
    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    app: str = "release_worker"
    started: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, again where it was killed; does not wait until it works."""
        self.started += 1
        self.log = self.directory / f"{self.name}.{self.started}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", self.app, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=dict(self.environment),
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def children(self) -> list[int]:
        """The pids of the processes that it works in."""
        try:
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        except FileNotFoundError:
            return []
        return [int(pid) for pid in listed.split()]

    @property
    def has_worked(self) -> bool:
        """Whether it has taken a task. Until then the loss of a child ends a worker, which Celery means to do."""
        return " received" in self.log.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        ready = f"{self.name}@" if "worker" in self.arguments else "beat: Starting"
        suffix = " ready." if "worker" in self.arguments else ""

        def said_so() -> bool:
            assert self.status is None, f"{self.name} ended with {self.status}; see {self.log}"
            return any(ready in line and suffix in line for line in self.log.read_text(errors="replace").splitlines())

        assert eventually(said_so, within=START_SECONDS), f"{self.name} did not start; see {self.log}"

    def kill(self) -> None:
        """End its main process with SIGKILL; its children have to notice by themselves."""
        self._process.kill()
        self._process.wait()

    def kill_all(self) -> None:
        """End it and all its children with SIGKILL, as a container ends."""
        self._guard.kill()
        self._guard.communicate()
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop_all(self) -> Callable[[], None]:
        """Stop it and all its children where they are (SIGSTOP); returns what lets the same processes go on."""
        started = self.started
        self._signal_all(signal.SIGSTOP)

        def go_on() -> None:
            if self.started == started and self.status is None:
                self._signal_all(signal.SIGCONT)

        return go_on

    def terminate(self) -> None:
        """Ask it to end, as an orchestrator does."""
        self._process.terminate()

    def wait(self, within: float) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        return self._process.wait(within)

    def stop(self) -> None:
        """Ask it to end, and end what is left of it, stopped processes included."""
        if self.status is None:
            self._signal_all(signal.SIGCONT)
            self.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.wait(STOP_SECONDS)
        self.kill_all()

    def _signal_all(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def environment_of(servers: EmbeddedServers, database_url: str, **settings: str) -> dict[str, str]:
    """The environment of a worker on these servers; other values, such as REMAP_SIGTERM, as they are named."""
    ours = environment_with(
        database_url=database_url,
        broker_url=servers.broker_url,
        result_backend=servers.broker_url,
        redis_url=servers.redis_url,
    )
    python_path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**ours, "PYTHONPATH": python_path, **settings}


def worker(
    name: str,
    directory: Path,
    environment: Mapping[str, str],
    *,
    children: int = 2,
    app: str = "release_worker",
    options: Sequence[str] = (),
) -> CeleryProcess:
    """A worker of all queues, not started."""
    write_celeryconfig(directory)
    arguments = ["worker", "-c", str(children), "-n", f"{name}@%h", "--loglevel", "INFO", *options]
    return CeleryProcess(name, arguments, directory, environment, app)


def beat(name: str, directory: Path, environment: Mapping[str, str]) -> CeleryProcess:
    """A beat with a schedule file of its own, not started."""
    write_celeryconfig(directory)
    arguments = ["beat", "--schedule", str(directory / f"{name}.schedule"), "--pidfile=", "--loglevel", "INFO"]
    return CeleryProcess(name, arguments, directory, environment)


def write_celeryconfig(directory: Path) -> None:
    (directory / "celeryconfig.py").write_text(CELERYCONFIG)
