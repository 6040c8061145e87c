"""What can be read in one go: no file of the product has over 300 lines, and no function over 50, its signature and its
docstring left aside."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT

LONGEST_FILE, LONGEST_FUNCTION = 300, 50
FILES = sorted((ROOT / "src").rglob("*.py"))


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Each function with the number of its lines."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_and_its_functions_can_be_read_in_one_go(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE
    assert {name: lines for name, lines in functions(file) if lines > LONGEST_FUNCTION} == {}
