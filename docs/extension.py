"""A Sphinx extension: it adds what a forge would show as a block of code.

- The table of contents: the pages that an index page (a README below `docs`) links to in its lists. An index page
  without such links has all pages of its directory.
- Diagrams: a fence `diagram` is drawn as SVG. The text is the diagram; without ascii2svg, the text is shown.

A site that would load anything from elsewhere when it is read is refused.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that its rules can be tested where Sphinx is not installed
    from sphinx.application import Sphinx

_INDEX = re.compile(r"docs/(\S+/)?README")
_LINK_IN_A_LIST = re.compile(r"^ *- \[[^\]]+\]\((\S+?)\.md\)", re.MULTILINE)
_DIAGRAM = re.compile(r"^```diagram\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|object)[^>]+(?:src|data)=\"https?://"
    r"|<link[^>]+rel=\"(?:stylesheet|preload|icon)\"[^>]+href=\"https?://"
    r"|@import\s+[\"']?(?:url\()?https?://|url\([\"']?https?://"
)


def setup(app: "Sphinx") -> dict[str, bool]:
    from sphinx.util import logging

    app.connect("source-read", _complete)
    app.connect("build-finished", _refuse_what_is_loaded)
    if find_spec("ascii2svg") is None:
        logging.getLogger(__name__).info("ascii2svg is not installed: diagrams are shown as text")
    return {"parallel_read_safe": True}


def _complete(_app: "Sphinx", page: str, source: list[str]) -> None:
    text = _DIAGRAM.sub(lambda found: drawn(found[1]), source[0])
    source[0] = text + contents(text) if _INDEX.fullmatch(page) else text


def contents(index: str) -> str:
    """The hidden table of contents of an index page."""
    listed = "\n".join(_LINK_IN_A_LIST.findall(index))
    return f"\n```{{toctree}}\n:hidden:\n{'' if listed else ':glob:'}\n\n{listed or '*'}\n```\n"


def drawn(diagram: str) -> str:
    """The diagram as SVG, on as many lines as the fence has, so that warnings name the right line."""
    if find_spec("ascii2svg") is None:
        return f"```text\n{diagram}```"
    from ascii2svg import render

    svg, _ = render(diagram, style="flat", theme="auto", color=False, title="")
    return "```{raw} html\n" + " ".join(svg.splitlines()) + "\n" * diagram.count("\n") + "```"


def loads_from_elsewhere(text: str) -> bool:
    """Whether a page, a style sheet or a picture would load something when it is read; links are not loaded."""
    return _LOADED.search(text) is not None


def _refuse_what_is_loaded(app: "Sphinx", failure: Exception | None) -> None:
    from sphinx.errors import ExtensionError

    if failure is not None:
        return
    made = [path for path in Path(app.outdir).rglob("*") if path.suffix in {".html", ".css", ".svg"}]
    loading = [path for path in made if loads_from_elsewhere(path.read_text(encoding="utf-8"))]
    if loading:
        raise ExtensionError(f"loaded from elsewhere when it is read: {', '.join(map(str, loading))}")
