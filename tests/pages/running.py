"""Runs what a page shows: its commands by a shell, its programs by one Python that keeps their names."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from release_worker.embedded.wheels import postgres_binaries
from tests.support.command_line import PROGRAM

_LONGEST = 120  # seconds; a command that takes as long has failed
_PROGRAMS = """
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    printed, failure = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        try:
            exec(compile(json.loads(line), "a program of the page", "exec"), names)
        except Exception:
            failure = traceback.format_exc()
    print(json.dumps([printed.getvalue(), failure]), flush=True)
"""


class Runner:
    """A directory and an environment in which the commands and programs of one page run."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELEASE_WORKER_")}
        path = os.pathsep.join([str(PROGRAM.parent), str(postgres_binaries()), inherited["PATH"]])
        self._directory = directory
        self._environment = {**inherited, **settings, "PATH": path, "COLUMNS": "80"}
        self._python: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._python is not None:
            with suppress(BrokenPipeError):
                self._python.communicate(timeout=_LONGEST)

    def write(self, name: str, text: str) -> None:
        """Write a file into the directory."""
        (self._directory / name).write_text(text)

    def command(self, command: str, *, colours: bool = False) -> str:
        """What a command of the shell prints; with `colours`, as on a terminal. It must not fail."""
        ended = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self._directory,
            env={**self._environment, **({"FORCE_COLOR": "1"} if colours else {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if colours else subprocess.STDOUT,
            timeout=_LONGEST,
        )
        printed = ended.stdout.decode()  # not as text: that would make line breaks of what moves the cursor
        assert ended.returncode == 0, f"$ {command}\n{printed}exit status {ended.returncode}"
        return printed

    def program(self, source: str) -> str:
        """What a program prints. It must not fail."""
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _PROGRAMS],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        self._python.stdin.write(json.dumps(source) + "\n")
        self._python.stdin.flush()
        printed, failure = json.loads(self._python.stdout.readline())
        assert failure is None, failure
        return str(printed)
