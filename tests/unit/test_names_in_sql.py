"""SQL of ours names what is ours as `ours.…`, so that it is found whatever the `search_path`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from release_worker.migrations.objects import FUNCTIONS, VIEWS
from release_worker.store.schema_version import VERSION_TABLE
from release_worker.store.statements import in_schema
from release_worker.store.tables import metadata

SOURCE = Path(__file__).parents[2] / "src" / "release_worker"
# Run with a `search_path` of their own, or not sent.
ELSEWHERE = ("migrations/", "store/tables/")

_RELATIONS = "|".join((*metadata.tables, *VIEWS, VERSION_TABLE))
_UNQUALIFIED = re.compile(
    rf"\b(?:FROM|JOIN|INTO|UPDATE|USING|TABLE|ONLY|TRUNCATE)\s+(?:\w+ \w+, )*(?:{_RELATIONS})\b(?!\.)"
    rf"|(?<![.\w])(?:{'|'.join(FUNCTIONS)})\("
    rf"|(?:regclass\(|CAST\()'(?:{_RELATIONS})'"
)


def unqualified(source: str) -> list[str]:
    """What the strings of a module name as ours without saying where it is, docstrings apart."""
    return [found[0] for text in _strings(ast.parse(source)) for found in _UNQUALIFIED.finditer(text)]


def _strings(tree: ast.AST) -> Iterator[str]:
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.value


def _modules() -> list[str]:
    names = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))
    return [name for name in names if not name.startswith(ELSEWHERE)]


@pytest.mark.parametrize("module", _modules())
def test_sql_says_where_what_is_ours_is(module: str) -> None:
    assert unqualified((SOURCE / module).read_text()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT FROM toolsets t",
        "SELECT FROM a JOIN release_requests ON true",
        "DELETE FROM toolsets USING projects",
        "SELECT release_worker_digest(content)",
        "LOCK TABLE release_totals",
        "SELECT to_regclass('toolsets')",
        "SELECT FROM release_schedules",
    ],
)
def test_a_name_without_its_schema_is_found(statement: str) -> None:
    assert unqualified(f"query = {statement!r}") != []
    assert unqualified(f'query = f"{statement} {{more}}"') != []


def test_a_name_that_is_qualified_is_not_found() -> None:
    source = '"""FROM toolsets"""\nq = "SELECT toolsets.id FROM ours.toolsets JOIN ours.projects ON projects.id = id"'
    assert unqualified(source) == []


def test_the_grants_say_where_what_is_ours_is() -> None:
    script = re.sub(r"--.*", "", (SOURCE / "migrations" / "grants.sql").read_text())
    names = "|".join((*metadata.tables, *VIEWS, VERSION_TABLE, *FUNCTIONS))
    assert set(re.findall(rf"(\S*)\b(?:{names})\b", script)) == {"ours."}


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("FROM ours.toolsets, ours.projects", 'FROM "Rel eases".toolsets, "Rel eases".projects'),
        ("SELECT ours.release_worker_digest(x)", 'SELECT "Rel eases".release_worker_digest(x)'),
        ("to_regclass('ours.' || name)", "to_regclass('\"Rel eases\".' || name)"),
        ("FROM yours.toolsets WHERE x.ours.y = 'its hours.'", "FROM yours.toolsets WHERE x.ours.y = 'its hours.'"),
        ("SELECT 1", "SELECT 1"),
    ],
)
def test_the_symbol_is_replaced_where_it_is_a_schema(written: str, sent: str) -> None:
    assert in_schema(written, '"Rel eases"') == sent
