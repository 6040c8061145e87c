"""Signs of life: files that workers and beats write every few seconds, so that a probe on the same host knows how they
are without asking over the network."""

import json
import logging
import os
import re
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from release_worker.domain.limits import DEFAULTS

Role = Literal["worker", "beat"]
# A worker consumes, or waits for its broker; a beat has published.
State = Literal["consuming", "waiting", "publishing"]

# The library's own logger: a probe imports this module, and structlog takes a third of its time.
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sign:
    """What a process last said of itself, and when, in the seconds of the host's monotonic clock."""

    role: Role
    name: str
    state: State
    queues: Sequence[str]
    pid: int
    at: float

    @property
    def age(self) -> float:
        """Seconds since it was given; below zero if the host was started anew since."""
        return time.monotonic() - self.at

    @property
    def is_recent(self) -> bool:
        """Whether a process that works could have given this as its last one."""
        return 0 <= self.age <= DEFAULTS.sign_lapse


class SignFile:
    """The file of one process; the next process with the same name replaces it. A `watchdog`, the path of systemd's
    socket, is told too: it starts a process anew that gives no sign."""

    def __init__(self, directory: Path, role: Role, name: str, *, watchdog: str | None = None) -> None:
        self._watchdog = watchdog
        self._path = directory / f"{role}-{re.sub(r'[^a-zA-Z0-9_.@-]', '_', name)}.json"
        self._role, self._name, self._pid = role, name, os.getpid()
        self._warned = False

    def write(self, state: State, queues: Sequence[str] = ()) -> None:
        """Say how it is, now. A worker that cannot write goes on with its work; the log has the reason once."""
        if self._watchdog is not None:
            _notify(self._watchdog)
        sign = Sign(self._role, self._name, state, list(queues), self._pid, time.monotonic())
        new = self._path.with_suffix(f".{self._pid}.new")
        try:
            _make_ours(self._path.parent)
            new.write_text(json.dumps(asdict(sign)), encoding="utf-8")
            new.replace(self._path)
        except OSError as error:
            if not self._warned:
                logger.warning("sign_of_life_not_written: %s", error)
            self._warned = True

    def remove(self) -> None:
        """At the end of the process; a child that inherited this removes nothing."""
        if os.getpid() == self._pid:
            with suppress(OSError):
                self._path.unlink()


def signs_in(directory: Path, role: Role) -> list[Sign]:
    """The signs of the processes that are still there; the others' files are removed. Raises OSError if the directory
    belongs to somebody else."""
    if not directory.exists():
        return []
    _make_ours(directory)
    found = []
    for file in sorted(directory.glob(f"{role}-*.json")):
        with suppress(OSError, ValueError, TypeError):
            sign = Sign(**json.loads(file.read_text(encoding="utf-8")))
            if _is_alive(sign.pid):
                found.append(sign)
            else:
                file.unlink()
    return found


def _notify(watchdog: str) -> None:
    """https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html"""
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.setblocking(False)
        connection.sendto(b"WATCHDOG=1", f"\0{watchdog[1:]}" if watchdog.startswith("@") else watchdog)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _make_ours(directory: Path) -> None:
    """Make the directory, for us alone. In a temporary directory that all share, its name may be taken."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.lstat().st_uid not in (os.geteuid(), 0):
        raise PermissionError(f"{directory} belongs to somebody else")
