"""Runs the tests of an app: pytest in a process of its own, with no configuration but what is given here."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_OF_THIS_SESSION = re.compile("RELEASE_WORKER_|PYTEST_")


@dataclass(frozen=True)
class Ran:
    """How it ended: `status` is pytest's."""

    status: int
    out: str

    @property
    def summary(self) -> str:
        """`1 passed, 2 failed`."""
        return self.out.rstrip().splitlines()[-1].partition(" in ")[0]


def run_app_tests(
    directory: Path, files: Mapping[str, str], *arguments: str, before: str = "", more: Mapping[str, str] | None = None
) -> Ran:
    """Write the files, and run pytest on them, with warnings as errors. `before` is a program that runs first in its
    process, and `more` are variables of its environment."""
    for name, text in files.items():
        (directory / name).write_text(text)
    inherited = {name: value for name, value in os.environ.items() if not _OF_THIS_SESSION.match(name)}
    program = f"{before}\nimport sys, pytest\nsys.exit(pytest.main(sys.argv[1:]))"
    ended = subprocess.run(
        [sys.executable, "-c", program, "-q", "-W", "error", "-p", "no:cacheprovider", *arguments],
        cwd=directory,
        env={**inherited, **(more or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Ran(ended.returncode, ended.stdout)
