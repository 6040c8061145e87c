"""The commands: what `--help` of each prints."""

from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any
from unittest.mock import patch

import typer

from release_worker.cli import main
from tests.support.reference.markdown import block, document, table

ABOUT = """
Each command takes `--help` and, if it prints something, `--json`. What stands here is what `--help` prints.

Errors go to standard error, in one line; with `--json`, as an object `{type, message, details}`. [Exit
status](#exit-status) is at the end.
"""

EXIT = (
    ("0", "it is done, or there was nothing to do; of two things that were compared: they are the same"),
    ("1", "it failed, or was refused"),
    ("2", "the command was called wrongly"),
    ("3", "what was compared is not the same (`diff`, `drift`, `staging diff`)"),
    ("4", "the request is accepted and kept, but not known to have ended: a script must not ask again"),
)


def page() -> str:
    sections = [f"## {' '.join(name)}\n\n{block('text', _help(name))}" for name in _names()]
    return document("Commands", ABOUT, *sections, "## Exit status", table("status", "meaning", rows=EXIT))


def _names() -> Iterator[tuple[str, ...]]:
    """Each command, with the name of its group."""
    root: Any = typer.main.get_command(main.app)
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield (name,)
        else:
            yield from ((name, one) for one in inner)


def _help(name: tuple[str, ...]) -> str:
    out = StringIO()
    with redirect_stdout(out), patch.dict("os.environ", {"COLUMNS": "80"}):
        assert main.run([*name, "--help"]) == 0
    return out.getvalue()
