"""What a terminal shows, as SVG: drawn by Rich, as the program itself would, with no font that would be loaded."""

import re
from html import unescape
from io import StringIO

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

_LOADED_FONTS = re.compile(r"@font-face \{\{.*?\}\}\n", re.DOTALL)


def svg_of(command: str, shown: str, name: str) -> str:
    """A picture of a command and what it printed, in colours."""
    text = Text.assemble(("$ ", "dim"), (command, "bold"), "\n", Text.from_ansi(shown))
    width = max(80, *(len(line) for line in text.plain.splitlines()))
    console = Console(record=True, width=width, file=StringIO(), force_terminal=True, color_system="truecolor")
    console.print(text, soft_wrap=True)
    drawing = _LOADED_FONTS.sub("", CONSOLE_SVG_FORMAT)
    return console.export_svg(title="release-worker", code_format=drawing, unique_id=name) + "\n"


def text_of(svg: str) -> str:
    """What a picture says."""
    rows: dict[str, str] = {}
    for row, words in re.findall(r'<text [^>]*y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        rows[row] = rows.get(row, "") + unescape(words)
    return "\n".join(rows.values()).replace("\xa0", " ")
