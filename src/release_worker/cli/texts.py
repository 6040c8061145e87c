"""Two texts as the lines in which they differ."""

from collections.abc import Iterator
from difflib import unified_diff

from release_worker.cli.render import several_lines

_CONTEXT = 1


def is_long(old: object, new: object) -> bool:
    """Both are texts, and of several lines: they are read line by line."""
    return isinstance(old, str) and isinstance(new, str) and ("\n" in old or "\n" in new)


def differing_lines(old: str, new: str) -> Iterator[str]:
    """`- ` and `+ ` before a line that one side alone has, two blanks before its neighbours, `…` between places."""
    before, after = several_lines(old).splitlines(), several_lines(new).splitlines()
    if before == after:
        yield "(the texts differ in blanks or ends of lines only)"
        return
    for number, line in enumerate(unified_diff(before, after, lineterm="", n=_CONTEXT)):
        if line.startswith("@@"):
            if number > 2:
                yield "…"
        elif number > 1:
            yield f"{line[0]} {line[1:]}".rstrip()
