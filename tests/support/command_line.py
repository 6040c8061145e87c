"""The installed command `release-worker`, run as a person or a script would run it."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

from release_worker.cli import main
from tests.support.elsewhere import SETTINGS

PROGRAM = Path(sys.executable).with_name("release-worker")


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output; it must have succeeded, and said nothing else."""
        assert (self.status, self.err) == (0, ""), self.err
        return json.loads(self.out)

    @property
    def widest(self) -> int:
        return max(map(len, self.out.splitlines()), default=0)


@dataclass(frozen=True)
class CommandLine:
    """`release-worker` with these variables in its environment, and none of RELEASE_WORKER_… besides.

    Called, it runs in this process, which is quick; `as_process` runs the installed program.
    """

    environment: Mapping[str, str]
    columns: int = 100

    def __call__(self, *arguments: str | float) -> Ended:
        out, err = StringIO(), StringIO()
        with (
            patch.dict(os.environ, self.variables, clear=True),
            patch.object(sys, "argv", [str(PROGRAM), *map(str, arguments)]),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            status = main.run(sys.argv[1:])
        return Ended(status, out.getvalue(), err.getvalue())

    def as_process(self, *arguments: str | float, directory: Path | None = None) -> Ended:
        ended = subprocess.run(
            [PROGRAM, *map(str, arguments)],
            cwd=directory,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def started(self, *arguments: str | float) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def variables(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RELEASE_WORKER_")}
        return {**inherited, **settings(**SETTINGS), "COLUMNS": str(self.columns), **self.environment}


def settings(**values: str) -> dict[str, str]:
    """`database_url=…` as `RELEASE_WORKER_DATABASE_URL=…`."""
    return {f"RELEASE_WORKER_{name.upper()}": value for name, value in values.items()}
