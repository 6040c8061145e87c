"""Every component keeps the rules: the seven built in, tables without SQL, and the example from outside."""

import ast
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

import release_worker.testing
from release_worker.components import HasLiveRows, Scope, TableComponent, UnlinkedTableComponent
from release_worker.state.registry import built_in_components
from release_worker.testing import exercise_component
from tests.support.component_edits import BUILT_IN_EDITS, edit, flag_edits
from tests.support.elsewhere import THEIRS
from tests.support.plug_ins import Flags, create_flags_table


@pytest.mark.parametrize("name", built_in_components().names)
def test_a_built_in_component_keeps_the_rules(engine: Engine, name: str) -> None:
    exercise_component(built_in_components()[name], engine=engine, edits=BUILT_IN_EDITS[name])


@pytest.mark.parametrize("scope", ["toolset", "project", "organization"])
def test_the_example_from_outside_keeps_the_rules(engine: Engine, scope: Scope) -> None:
    create_flags_table(engine)
    exercise_component(Flags(scope=scope), engine=engine, edits=flag_edits(scope))


@pytest.mark.parametrize("scope", ["toolset", "project", "organization"])
@pytest.mark.parametrize("kind", [TableComponent, UnlinkedTableComponent])
def test_a_table_keeps_the_rules(engine: Engine, scope: Scope, kind: type[UnlinkedTableComponent]) -> None:
    create_flags_table(engine, owners=f"{scope}s" if kind is TableComponent else None)
    flags = kind(name="flags", table="flags", key="name", scope=scope, scope_column="owner_id", values=("value",))
    assert isinstance(flags, HasLiveRows) == (kind is TableComponent)
    exercise_component(flags, engine=engine, edits=flag_edits(scope))


def test_a_table_with_soft_deletion_and_a_key_of_two_columns_keeps_the_rules(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                " project uuid REFERENCES projects, region text, number int, body text, seen timestamptz,"
                " deleted_at timestamptz)"
            )
        )
    notes = TableComponent(
        name="notes",
        table=f"{THEIRS}.notes",
        key=("region", "number"),
        scope="project",
        scope_column="project",
        values=("body", "seen"),
        deleted_at="deleted_at",
    )
    ours = "WHERE project = :project_id AND deleted_at IS NULL"
    insert = "INSERT INTO notes (project, region, number, body, seen) VALUES"
    edits = (
        edit(
            "adding",
            f"{insert} (:project_id, 'eu', 1, 'x', '2026-01-01 10:00:00.000001+02')",
            f"{insert} (:project_id, 'eu', 2, NULL, NULL)",
            f"{insert} (:project_id, NULL, 1, '', 'infinity')",
        ),
        edit("changing", f"UPDATE notes SET body = NULL {ours} AND region = 'eu' AND number = 1"),
        edit("deleting", f"UPDATE notes SET deleted_at = now() {ours} AND number = 1"),
        edit("writing_again", f"{insert} (:project_id, 'eu', 1, 'new', NULL)"),
        edit("deleting_all", f"UPDATE notes SET deleted_at = now() {ours}"),
    )
    exercise_component(notes, engine=engine, edits=edits)


def test_the_suite_needs_no_test_framework() -> None:
    package = Path(release_worker.testing.__file__).parent
    imported = {
        name
        for module in package.glob("*.py")
        if module.name != "plugin.py"  # which only pytest imports
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert not {name for name in imported if name.split(".")[0] in ("pytest", "hypothesis", "unittest")}
