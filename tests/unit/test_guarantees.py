"""README's table of guarantees names tests that exist."""

import ast
from functools import cache

import pytest

from tests.support.repository import ROOT, in_code_style, make_calls, make_targets, read

HEADING = "## What is guaranteed"


def guarantees() -> dict[str, str]:
    """By guarantee: what stands in the last column."""
    section = read("README.md").split(f"\n{HEADING}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {row[0].strip(): row[-1].strip() for row in rows[1:]}


@cache
def names_of_tests() -> frozenset[str]:
    """The names of all functions that pytest collects as tests."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("test_*.py"))
    nodes = (node for tree in trees for node in ast.walk(tree))
    names = (node.name for node in nodes if isinstance(node, ast.FunctionDef))
    return frozenset(name for name in names if name.startswith("test_"))


def exists(named: str) -> bool:
    """Whether it is a test, a file or directory of tests, or a target of the Makefile."""
    if named.startswith("make "):
        return make_calls(named) == [named.removeprefix("make ")] and set(make_calls(named)) <= make_targets()
    if named.startswith("tests/"):
        path = ROOT / named
        return any(path.rglob("test_*.py")) or (path.is_file() and path.name.startswith("test_"))
    return named in names_of_tests()


@pytest.mark.parametrize("guarantee", guarantees())
def test_what_is_guaranteed_has_a_test(guarantee: str) -> None:
    named = in_code_style(guarantees()[guarantee])
    assert named
    assert [name for name in named if not exists(name)] == []


def test_the_whole_table_is_read() -> None:
    section = read("README.md").split(HEADING)[1].split("\n## ")[0]
    header_and_line = 2
    assert len(guarantees()) == section.count("\n|") - header_and_line > 0


@pytest.mark.parametrize(
    "named",
    [
        "test_nobody_wrote",
        "make nothing",
        "make",
        "tests/nowhere",
        "tests/unit/test_nothing.py",
        "tests/mutants.py",
        "x",
    ],
)
def test_what_is_not_there_does_not_count_as_a_test(named: str) -> None:
    assert not exists(named)
