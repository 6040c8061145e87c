"""The processes that `dev` starts: out of reach of Ctrl-C, stopped in order, and gone when we are, however we end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from release_worker.errors import ReleaseWorkerError

STOP_SECONDS = 20.0
START_SECONDS = 60.0
LOG_LINES = 5

# Its standard input ends when we do, be it by SIGKILL; then the whole session is ended.
_GUARD = 'read -r _; kill -s KILL -- "-$1"'
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Program:
    """`celery -A release_worker <arguments>`, under a name. `ready` is in its log once it works."""

    name: str
    arguments: Sequence[str]
    ready: str | None = None


class ChildProcess:
    """A running program, with its log in a file of this run; a context manager that stops it at the end."""

    def __init__(self, program: Program, *, directory: Path, environment: Mapping[str, str]) -> None:
        self.program = program
        self.log = directory / f"{program.name}.log"
        self._directory = directory
        self._environment = environment

    def __enter__(self) -> Self:
        # In the directory of its files, so that nothing in the one that we were called from shadows a module.
        command = [sys.executable, "-m", "celery", "-A", "release_worker", *self.program.arguments]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
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
        """Ask it to finish what it does, and end it if that takes too long."""
        self._process.terminate()
        self._guard.kill()
        self._guard.communicate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):  # what is left of its session, if anything is
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def check(self) -> None:
        """Raises ReleaseWorkerError, with the end of the log, where the program has stopped."""
        status = self._process.poll()
        if status is not None:
            message = f"{self.program.name} stopped by itself with status {status}; its log is {self.log}"
            tail = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()][-LOG_LINES:]
            raise ReleaseWorkerError(message, {"log": str(self.log), "log_tail": tail})

    def wait_until_ready(self) -> None:
        """Raises ReleaseWorkerError where it stops, or is not ready in time."""
        deadline = time.monotonic() + START_SECONDS
        while self.program.ready and self.program.ready not in self.log.read_text(errors="replace"):
            self.check()
            if time.monotonic() > deadline:
                raise ReleaseWorkerError(f"{self.program.name} did not start; see {self.log}", {"log": str(self.log)})
            time.sleep(0.05)


def stop_on_signals() -> None:
    """Turn Ctrl-C, SIGTERM and the end of the terminal into a SystemExit that unwinds; further ones change nothing."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for one in _STOPPING:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(0)

    for one in _STOPPING:
        signal.signal(one, stop)
