"""A page of the documentation: the blocks of it that run, and the page with other output in them.

- `console`: each line that begins with `$ ` is a command, with the lines that begin with `> ` after it; what follows is
  its output. A command that fails is an error, unless it says `|| echo "exit status $?"`.
- `python`: a program. All of a page share their names. What they print stands in the block `output` after them.
- `<!-- file: NAME -->` before a `python` block: it is written into this file, and not run.
- `<!-- picture: FILE -->` before a `console` block: the output of its last command is not text on the page, but an SVG.

A page may say `<!-- not run -->` before a block that needs what a test does not have, and `<!-- empty database -->`
anywhere if its database is to have nothing of ours at first; a reader sees no difference.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_BLOCK = re.compile(
    r"(?:^<!-- (?:picture: (?P<picture>\S+)|file: (?P<file>\S+)|(?P<skipped>not run)) -->\n+)?"
    r"^```(?P<language>console|python)\n(?P<text>.*?)^```$"
    r"(?:\n+^```output\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
EMPTY_DATABASE = "<!-- empty database -->"


@dataclass(frozen=True)
class Step:
    """A command or a program, and what the page says that it prints."""

    source: str
    output: str


@dataclass(frozen=True)
class Block:
    """A block, and where in the page's text it stands."""

    language: str
    steps: tuple[Step, ...]
    line: int
    start: int
    end: int
    picture: str | None = None
    file: str | None = None

    def text(self) -> str:
        """The block as the page has it."""
        if self.language == "python":
            [program] = self.steps
            output = f"\n\n```output\n{program.output}```" if program.output else ""
            return f"```python\n{program.source}```{output}"
        lines = "".join(f"{_prompted(step.source)}{step.output}" for step in self.steps)
        return f"```console\n{lines}```"


def blocks_of(page: Path) -> list[Block]:
    """The blocks that run, in the order of the page."""
    return list(_blocks(page.read_text(encoding="utf-8")))


def _blocks(text: str) -> Iterator[Block]:
    for found in _BLOCK.finditer(text):
        if found["skipped"]:
            continue
        language, source, output = found["language"], found["text"], found["output"] or ""
        steps = tuple(_commands(source)) if language == "console" else (Step(source, output),)
        start = found.start("language") - len("```")
        yield Block(
            language, steps, text.count("\n", 0, start) + 1, start, found.end(), found["picture"], found["file"]
        )


def _commands(text: str) -> Iterator[Step]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        more = 1
        while more < len(lines) and lines[more].startswith("> "):
            more += 1
        command = lines[0] + "".join(line.removeprefix("> ") for line in lines[1:more])
        yield Step(command.rstrip("\n"), "".join(lines[more:]))


def _prompted(command: str) -> str:
    return "$ " + "\n> ".join(command.splitlines()) + "\n"


def with_outputs(page: Path, outputs: Sequence[Sequence[str]]) -> str:
    """The text of the page, with these outputs of its blocks' steps in the place of its own."""
    text = page.read_text(encoding="utf-8")
    for block, printed in reversed(list(zip(_blocks(text), outputs, strict=True))):
        steps = tuple(replace(step, output=output) for step, output in zip(block.steps, printed, strict=True))
        text = text[: block.start] + replace(block, steps=steps).text() + text[block.end :]
    return text
