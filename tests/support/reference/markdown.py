"""What the pages have in common."""

from collections.abc import Iterable, Sequence

NOTE = "<!-- Written by the code: .venv/bin/python -m pytest tests/unit --renew-golden -->"


def document(title: str, *paragraphs: str) -> str:
    """A page that is written by the code, and says so where only its source is read."""
    return "\n\n".join([NOTE, f"# {title}", *(text.strip("\n") for text in paragraphs if text)]) + "\n"


def table(*header: str, rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell is kept from ending it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def block(language: str, text: str) -> str:
    return f"```{language}\n{text.strip(chr(10))}\n```"


def paragraphs(docstring: str | None) -> str:
    """A docstring, a paragraph a line, as Markdown has it."""
    from inspect import cleandoc

    parts = cleandoc(docstring or "").split("\n\n")
    return "\n\n".join(" ".join(part.split()) for part in parts)
