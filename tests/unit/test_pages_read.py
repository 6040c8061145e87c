"""How pages are read and compared by `tests/pages`, and what a page may show without running it."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from release_worker.cli.main import app
from release_worker.cli.options import user_name
from tests.pages.masks import alike, replaced, with_a_persons_name
from tests.pages.page import Step, blocks_of, with_outputs
from tests.pages.pictures import left_on_screen, svg_of, text_of
from tests.support.repository import ROOT, make_calls, make_targets

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"console", "python", "output", "py", "sh", "sql", "toml", "text", "json", "diagram", "", "yaml"}
PAGE = """# A page

```console
$ release-worker list acme/payments/billing \\
>     --json
first
$ true
```

<!-- not run -->
```console
$ release-worker dev
```

```python
print(1)
```

```output
1
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_commands_and_programs_are_read_with_their_output(page: Path) -> None:
    console, python = blocks_of(page)
    listing = "release-worker list acme/payments/billing \\\n    --json"
    assert console.steps == (Step(listing, "first\n"), Step("true", ""))
    assert python.steps == (Step("print(1)\n", "1\n"),)


def test_a_page_with_its_own_outputs_is_the_same_page(page: Path) -> None:
    outputs = [[step.output for step in block.steps] for block in blocks_of(page)]
    assert with_outputs(page, outputs) == PAGE


def test_other_outputs_take_the_place_of_those_on_the_page(page: Path) -> None:
    renewed = with_outputs(page, [["second\n", "third\n"], [""]])
    assert renewed == PAGE.replace("first\n$ true\n", "second\n$ true\nthird\n").replace("\n```output\n1\n```\n", "")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("request 01a21e27-634a-735f-80bc-741deadbdd0e", "request 01a21e1e-cf61-7067-8d43-9a721c84e120"),
        ("1 current  2026-11-27 17:47  ops", "1 current  2025-01-02 03:04  ops"),
        ("made 3 min ago", "made 12 s ago"),
        ("✓  1.22 s done", "✓ 10.01 s done"),
        ("2  33 s  works; rolled back to by ops: inci…", "2  1 min  works; rolled back to by ops: in…"),
    ],
)
def test_what_differs_from_run_to_run_is_no_difference(one: str, other: str) -> None:
    assert alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("tools: 3 added", "tools: 2 added"), ("digest 57576", "digest 57577"), ("a\nb", "b\na"), ("new …", "old …")],
)
def test_all_else_is_a_difference(one: str, other: str) -> None:
    assert not alike(one, other)


def test_the_users_name_becomes_another_and_columns_stay_where_they_are() -> None:
    name = user_name()
    shown = with_a_persons_name(f"by {name}: x\nby    {name}    notes\n/home/{name}/x")
    assert shown == f"by ops: x\nby    {'ops'.ljust(len(name))}    notes\n/home/{name}/x"


def test_ids_of_a_page_become_those_of_a_run() -> None:
    shown, actual = "01a21e27-634a-735f-80bc-741deadbdd0e", "01a21e1e-cf61-7067-8d43-9a721c84e120"
    assert replaced(f"requests show {shown}", {shown: actual}) == f"requests show {actual}"


def test_a_picture_shows_what_the_screen_has_in_the_end_and_loads_nothing() -> None:
    output = "\x1b[?25l\r\x1b[2K- waiting\r\x1b[2K\\ waiting\r\x1b[2K\n\x1b[1A\x1b[2K\x1b[32mdone\x1b[0m\n"
    picture = svg_of("release-worker demo", output, "demo")
    assert left_on_screen("a\nb\x1b[2Kc\x1b[1A\x1b[2Kd\n") == "d\n"
    assert text_of(picture).split() == ["release-worker", "$", "release-worker", "demo", "done"]
    assert "url(http" not in picture


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_a_page_shows_and_does_not_run_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    languages = re.findall(r"^```(\w*)$", text, re.MULTILINE)[::2]
    assert set(languages) <= LANGUAGES
    for command in _shown(text):
        assert set(make_calls(command)) <= make_targets(), command
        if "release-worker " in command:
            _check_command(command[command.index("release-worker ") :].partition(" | ")[0])


def _shown(text: str) -> list[str]:
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ").partition("  #")[0] for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("release-worker ", "make "))]


def _check_command(line: str) -> None:
    """That there is such a command, with such options."""
    words = shlex.split(line.removesuffix("\\"))[1:]
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, line
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert [word for word in words if word.startswith("--") and word not in known] == [], line
