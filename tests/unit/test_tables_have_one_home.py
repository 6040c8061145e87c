"""A table of live state is named in the module of its component, and a table of owners in theirs, and nowhere else."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "release_worker"

OWNERS = "store/owners/"
HOMES = {
    "organizations": [OWNERS],
    "projects": [OWNERS],
    "toolsets": [OWNERS, "state/settings.py"],  # whose content is in the toolset's own row
    "deployments": [OWNERS, "state/deployment.py"],  # a project points at one
    "deployment_assets": ["state/deployment.py"],
    "tool_definitions": ["state/deployment.py"],
    "resource_definitions": ["state/deployment.py"],
    "toolset_tools": ["state/membership.py"],
    "toolset_resources": ["state/membership.py"],
    "variations": ["state/variations.py"],
    "prompt_templates": ["state/system.py"],
    "system_configs": ["state/system.py"],
}
# The schema itself, what is locked before a read, and what edits live state as an app would.
EVERYWHERE = ("store/live_snapshot.py", "store/tables/", "migrations/", "demo/", "cli/dev.py", "testing/estate.py")


def named_in(source: str) -> set[str]:
    """The tables that the strings of a module name, docstrings apart."""
    return {table for text in _strings(ast.parse(source)) for table in HOMES if _names(text, table)}


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            is_docstring = isinstance(node, ast.Expr)
            if isinstance(child, ast.Constant) and isinstance(child.value, str) and not is_docstring:
                yield child.value


def _names(text: str, table: str) -> bool:
    """A name of two words is no word of English; one of a single word has to stand where SQL has tables."""
    before = "" if "_" in table else r"(FROM|JOIN|UPDATE|INTO|USING|OF)\s+(ours\.)?"
    return re.search(rf"\b{before}{table}\b", text) is not None


@cache
def _all_named() -> dict[str, set[str]]:
    """By module, the tables that it names."""
    return {str(path.relative_to(SOURCE)): named_in(path.read_text()) for path in SOURCE.rglob("*.py")}


@pytest.mark.parametrize("table", HOMES)
def test_a_table_is_named_in_its_home_only(table: str) -> None:
    found = {module for module, tables in _all_named().items() if table in tables}
    elsewhere = {name for name in found if not name.startswith((*HOMES[table], *EVERYWHERE))}
    assert elsewhere == set()
    assert found - elsewhere, "the table has a home"


def test_a_name_is_found_wherever_a_string_has_it() -> None:
    assert named_in('query = f"SELECT FROM {a} JOIN ours.variations v"') == {"variations"}
    assert named_in('TABLES = ("tool_definitions",)') == {"tool_definitions"}
    assert named_in('"""Rows of `prompt_templates`, FROM variations."""\ndetails = {"variations": 1}') == set()
