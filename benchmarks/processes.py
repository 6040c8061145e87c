"""Workers as subprocesses: started once, measured while they live, and gone when we are, however we end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from celery import Celery

from benchmarks.stage import ROOT, Site

START_SECONDS = 60.0
CHILDREN = 2  # of every contender, one task at a time each

# Its standard input ends when we do, be it by SIGKILL; then the worker's whole session is ended.
_GUARD = 'read -r _; kill -s KILL -- "-$1"'


class WorkerProcess:
    """`python -m <arguments>` in the repository, in a session of its own, with its log in the servers' directory."""

    def __init__(self, name: str, arguments: Sequence[str], site: Site, **environment: str) -> None:
        self.log = site.directory / f"{name}.log"
        self._arguments = arguments
        self._environment: Mapping[str, str] = {**site.environment, **environment}

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=dict(self._environment),
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self._process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """At once: whatever it was asked for has been settled, or has failed."""
        self._guard.kill()
        self._guard.communicate()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Raises RuntimeError, with the end of the log, where it stops or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a worker did not start:\n{self.tail()}")
            time.sleep(0.05)

    def tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def said(self, what: str, times: int) -> bool:
        """Whether the log has it so many times."""
        return self.log.read_text(errors="replace").count(what) >= times

    def children(self) -> list[int]:
        """The pids of the processes that tasks run in."""
        pid = self._process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def celery_worker(name: str, app: str, site: Site) -> WorkerProcess:
    """The command of the Dockerfile, with two children. Not started."""
    return WorkerProcess(name, ["celery", "-A", app, "worker", "-c", str(CHILDREN), "-n", f"{name}@%h"], site)


def wait_for_celery(worker: WorkerProcess, site: Site) -> None:
    """Until it answers a ping: its children are there then."""
    with Celery("ping", broker=site.broker_url, set_as_current=False) as app:
        worker.wait_until(lambda: bool(app.control.ping(timeout=0.5, limit=1)))


def resident_bytes(pid: int, *, peak: bool) -> int:
    """The resident memory of a process, now or at its highest so far."""
    field = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)
