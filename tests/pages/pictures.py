"""What a terminal shows, as SVG: drawn by Rich, as the program itself would, with no font that would be loaded."""

import re
from html import unescape
from io import StringIO

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

_STEERING = re.compile(r"(\n|\r|\x1b\[2K|\x1b\[1A|\x1b\[\?25[lh])")
_FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
_LOADED_FONTS = re.compile(r"@font-face \{\{.*?\}\}\n", re.DOTALL)


def left_on_screen(output: str) -> str:
    """What a terminal shows in the end: without lines that were written over, such as those of a progress bar."""
    lines = [""]
    for part in _STEERING.split(output):
        match part:
            case "\n":
                lines.append("")
            case "\x1b[2K":
                lines[-1] = ""
            case "\x1b[1A":
                lines.pop()
            case "\r" | "\x1b[?25l" | "\x1b[?25h":
                pass
            case _:
                lines[-1] += part
    return "\n".join(lines)


def svg_of(command: str, shown: str, name: str) -> str:
    """A picture of a command and what it printed, in colours."""
    text = Text.assemble(("$ ", "dim"), (command, "bold"), "\n", Text.from_ansi(left_on_screen(shown)))
    width = max(80, *(len(line) for line in text.plain.splitlines()))
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text, soft_wrap=True)
    drawing = _LOADED_FONTS.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", _FONTS)
    return console.export_svg(title="release-worker", code_format=drawing, unique_id=name) + "\n"


def text_of(svg: str) -> str:
    """What a picture says."""
    rows: dict[str, str] = {}
    for row, words in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        rows[row] = rows.get(row, "") + unescape(words)
    return "\n".join(rows.values()).replace("\xa0", " ")
