"""One server process: who it runs as, how it starts and ends, and that it does not outlive us."""

import fcntl
import os
import pwd
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from release_worker import errors

START_SECONDS = 60.0
STOP_SECONDS = 30.0
LOG_LINES = 20

# Its standard input ends when the last process that holds the other end is gone, be it by SIGKILL.
GUARD = 'read -r _; kill -s "$1" "$2"'


@dataclass(frozen=True, slots=True)
class Identity:
    """The user and groups of a process; `None` for our own."""

    uid: int | None = None
    gid: int | None = None
    groups: list[int] | None = None


def unprivileged_identity() -> Identity:
    """Ourselves, or `nobody` if we are root: PostgreSQL refuses to run as root, and `nobody` is on every system."""
    if os.geteuid() != 0:
        return Identity()
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        message = "PostgreSQL refuses to run as root, and there is no user `nobody` to run it as"
        raise errors.NotConfigured(message, setting="embedded") from None
    return Identity(nobody.pw_uid, nobody.pw_gid, [])


@dataclass(frozen=True, slots=True)
class Streams:
    """What a child reads from, and what it writes to, errors included."""

    stdin: int = subprocess.DEVNULL
    output: int | IO[bytes] = subprocess.DEVNULL


class CleanProcess(subprocess.Popen[bytes]):
    """A child that runs as `identity`, and without our environment: PGPORT or LD_PRELOAD are not meant for it."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        identity: Identity,
        streams: Streams,
        own_session: bool = False,
        keep_open: Collection[int] = (),
    ) -> None:
        super().__init__(
            command,
            stdin=streams.stdin,
            stdout=streams.output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"LC_ALL": "C"},
            start_new_session=own_session,
            pass_fds=keep_open,
            user=identity.uid,
            group=identity.gid,
            extra_groups=identity.groups,
        )


def run(command: Sequence[str | Path], *, identity: Identity, within: float) -> tuple[int, str]:
    """The exit status and output of a command, which is killed after `within` seconds."""
    with CleanProcess(command, identity=identity, streams=Streams(output=subprocess.PIPE)) as process:
        try:
            output, _ = process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
    return process.returncode, output.decode(errors="replace")


def eventually(condition: Callable[[], bool], *, within: float) -> bool:
    """Whether the condition became true within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class GuardedProcess(CleanProcess):
    """A server in a session of its own, out of reach of Ctrl-C, which a small shell stops if we die."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        identity: Identity,
        log: IO[bytes],
        lock: IO[str],
        stop_signal: signal.Signals,
    ) -> None:
        super().__init__(
            command, identity=identity, streams=Streams(output=log), own_session=True, keep_open=[lock.fileno()]
        )
        self._guard = CleanProcess(
            ["/bin/sh", "-c", GUARD, "guard", stop_signal.name.removeprefix("SIG"), str(self.pid)],
            identity=Identity(),
            streams=Streams(stdin=subprocess.PIPE),
            own_session=True,
        )

    def end(self, stop_signal: signal.Signals, *, within: float) -> None:
        """Send the signal, and SIGKILL if that has not ended the server within so many seconds."""
        self.send_signal(stop_signal)
        # Before the server is waited for: its pid may be another's afterwards.
        self._guard.kill()
        self._guard.communicate()
        try:
            self.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()


class EmbeddedServer(ABC):
    """What the two servers share: start, stop, kill.

    The server and all its children inherit the lock on `<name>.lock`, which is therefore free exactly when all of them
    are gone. That tells an orphan from a stale pid file, whose pid may by now be that of any other process.
    """

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]
    unavailable: ClassVar[type[errors.TransientError]]

    def __init__(self, home: Path, *, identity: Identity) -> None:
        self.data = home / self.name
        self.log = home / f"{self.name}.log"
        self._lock = home / f"{self.name}.lock"
        self._identity = identity
        self._process: GuardedProcess | None = None
        self._ended_pid: int | None = None

    @property
    def running(self) -> bool:
        """Whether the server that we started is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The server's process id, also after it crashed."""
        if self._process is None:
            raise self.unavailable(reason=f"{self.name} is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers; nothing if it is running.

        Raises `unavailable`, with the end of the log, if it does not start, or an earlier one does not end.
        """
        if self.running:
            return
        self.stop()
        with self._lock.open("a+") as lock:
            self._prepare(self._claim(lock))
            self._launch(lock)
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the server in order, with its data on disk; nothing if it is not running."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the server as a crash would, with SIGKILL."""
        self._end(signal.SIGKILL)

    @abstractmethod
    def _prepare(self, previous_pid: int | None) -> None:
        """Make ready what the command needs; `previous_pid` was this server's last and is surely gone."""

    @abstractmethod
    def _command(self) -> Sequence[str | Path]: ...

    @abstractmethod
    def _is_ready(self) -> bool: ...

    def _claim(self, lock: IO[str]) -> int | None:
        """Take the lock, if need be by stopping a server that outlived its owner; the pid of the last server."""
        lock.seek(0)
        recorded = lock.read()
        previous_pid = int(recorded) if recorded else None
        # What we killed ourselves has freed its pid: its children need only a moment to notice.
        orphan = previous_pid if previous_pid != self._ended_pid else None
        for stop_signal in (self.stop_signal, signal.SIGKILL):
            if not _locked(lock) and orphan is not None:
                with suppress(ProcessLookupError):  # only its children are left
                    os.kill(orphan, stop_signal)
            if eventually(lambda: _locked(lock), within=STOP_SECONDS / 2):
                lock.truncate(0)
                return previous_pid
        raise self.unavailable(reason=f"an earlier {self.name} of {self.data} does not end")

    def _launch(self, lock: IO[str]) -> None:
        with self.log.open("ab") as log:
            self._process = GuardedProcess(
                self._command(), identity=self._identity, log=log, lock=lock, stop_signal=self.stop_signal
            )
        lock.write(str(self._process.pid))

    def _wait_until_ready(self) -> None:
        eventually(lambda: self._is_ready() or not self.running, within=START_SECONDS)
        if not self._is_ready():
            self.kill()
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])
            raise self.unavailable(reason=f"{self.name} did not start; {self.log} ends:\n{tail}")

    def _end(self, stop_signal: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(stop_signal, within=STOP_SECONDS)
            self._ended_pid = self._process.pid
            self._process = None


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
