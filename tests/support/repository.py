"""Files of the repository that are no code, as tests read them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def read(path: str) -> str:
    """The text of a file; its path is that from the root of the repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def make_targets() -> set[str]:
    """The targets that the Makefile declares."""
    declared = re.search(r"^\.PHONY:(.*)$", read("Makefile"), re.MULTILINE)
    assert declared is not None
    return set(declared[1].split())


def make_recipe(target: str) -> str:
    """The commands of a target."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", read("Makefile"), re.MULTILINE)
    assert recipe is not None
    return recipe[1]


def make_calls(commands: str) -> list[str]:
    """The targets that a shell's commands, or a text, call with `make TARGET`."""
    return re.findall(r"\bmake (?:[A-Z_]+=\S+ )*([a-z]+)\b", commands)


def in_code_style(markdown: str) -> list[str]:
    """What stands in backticks, outside blocks of code."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL))
