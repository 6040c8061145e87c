"""`python -m …` as a process of its own: out of reach of Ctrl-C, stopped in order, and gone when we are, however we
end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, Self

from release_worker.errors import ReleaseWorkerError

STOP_SECONDS = 20.0
START_SECONDS = 60.0
LOG_LINES = 5
CELERY = ("celery", "-A", "release_worker")

# Its standard input ends when we do, be it by SIGKILL; then the whole session is ended.
_GUARD = 'read -r _; kill -s KILL -- "-$1"'


@dataclass
class PythonProcess:
    """`python -m <arguments>`, which runs in `directory` and in a session of its own; a context manager that stops it
    at the end. Its log is in `logs`, by default `directory`, a file for each start. It has `stop_seconds` to finish
    what it does; 0 if it is to be ended at once."""

    name: str
    arguments: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    logs: Path | None = None
    stop_seconds: float = STOP_SECONDS
    started: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, again if it has ended; does not wait until it works."""
        self.started += 1
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=dict(self.environment),
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self.pid)], stdin=subprocess.PIPE, start_new_session=True
        )

    @property
    def log(self) -> Path:
        """The log of the latest start."""
        number = f".{self.started}" if self.started > 1 else ""
        return (self.logs or self.directory) / f"{self.name}{number}.log"

    def said(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace")

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

    def check(self) -> None:
        """Raises ReleaseWorkerError, with the end of the log, if it has ended."""
        if self.status is not None:
            self._fail(f"{self.name} stopped by itself with status {self.status}; its log is {self.log}")

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Raises ReleaseWorkerError, with the end of the log, if it ends, or is not ready in time."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                self._fail(f"{self.name} did not start; see {self.log}")
            time.sleep(0.05)

    def _fail(self, message: str) -> NoReturn:
        tail = [line for line in self.said().splitlines() if line.strip()][-LOG_LINES:]
        error = ReleaseWorkerError(message, {"log": str(self.log), "log_tail": tail})
        error.add_note("\n".join(tail))
        raise error

    def terminate(self) -> None:
        """Ask it to end, as an orchestrator does."""
        self._process.terminate()

    def wait(self, within: float) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        return self._process.wait(within)

    def stop(self) -> None:
        """Ask it to end, and end what is left of it, stopped processes included."""
        if self.status is None and self.stop_seconds:
            self.signal_all(signal.SIGCONT)
            self.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.wait(self.stop_seconds)
        self.kill_all()

    def kill(self) -> None:
        """End its main process with SIGKILL; its children have to notice by themselves."""
        self._process.kill()
        self._process.wait()

    def kill_all(self) -> None:
        """End it and all its children with SIGKILL, as a container ends."""
        self._guard.kill()
        self._guard.communicate()
        self.signal_all(signal.SIGKILL)
        self._process.wait()

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to what is left of its session, if anything is."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)
