"""The read-back: live state is looked at again after a restore, all of it, and must be what was planned."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Engine, text

from release_worker.errors import IntegrityMismatch
from tests.support.billing import (
    COMPONENTS,
    EDITS,
    INVOICE,
    LEDGER,
    SUMMARY,
    a_full_toolset,
    active_deployment,
    edit_settings,
    edit_tools,
)
from tests.support.operations import release, roll_back
from tests.support.records import whole_database

# What a meddler makes of each row that a restore of the component writes.
SPOILT: Mapping[str, tuple[str, str]] = {
    "tools": ("toolset_tools", "NEW.position := NEW.position + 100"),
    "resources": ("toolset_resources", "NEW.position := NEW.position + 100"),
    "settings": ("toolsets", "NEW.description := 'spoilt'"),
    "deployment": ("tool_definitions", "NEW.description := 'spoilt'"),
    "system": ("prompt_templates", "NEW.prompt := 'spoilt'"),
    "global_variations": ("variations", "NEW.config := '\"spoilt\"'"),
    "toolset_variations": ("variations", "NEW.config := '\"spoilt\"'"),
}
# What changes each component, whoever does it and whenever.
SIDE_EFFECTS: Mapping[str, str] = {
    "tools": "DELETE FROM toolset_tools",
    "resources": "UPDATE toolset_resources SET position = position + 1",
    "settings": "UPDATE toolsets SET settings = '\"other\"'",
    "deployment": "UPDATE deployment_assets SET sha256 = 'other'",
    "system": "UPDATE system_configs SET value = '\"other\"'",
    "global_variations": "UPDATE variations SET config = '\"other\"' WHERE toolset_id IS NULL",
    "toolset_variations": "DELETE FROM variations WHERE toolset_id IS NOT NULL",
}


def on_writing(engine: Engine, table: str, action: str, *, when: str = "BEFORE INSERT OR UPDATE") -> None:
    """A trigger of somebody else's, on each row that is written from now on."""
    function = f"""
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS
        $$ BEGIN {action}; RETURN NEW; END $$
    """
    with engine.begin() as connection:
        connection.execute(text(function.replace(":=", r"\:=")))
        connection.execute(text(f"CREATE TRIGGER meddle {when} ON {table} FOR EACH ROW EXECUTE FUNCTION meddle()"))


def mismatches(engine: Engine, toolset: str, **options: Any) -> list[tuple[str, str]]:
    """What a rollback to release 1 finds otherwise than planned, and that; it must leave everything as it was."""
    before = whole_database(engine)
    with pytest.raises(IntegrityMismatch) as mismatch:
        roll_back(engine, toolset, 1, **options)
    assert whole_database(engine) == before
    return [(one["object"], one["computed"]) for one in mismatch.value.details["objects"]]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_that_reads_back_otherwise_undoes_the_rollback(engine: Engine, component: str) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    EDITS[component](billing)
    on_writing(engine, *SPOILT[component])
    assert [name for name, _ in mismatches(engine, billing.path)] == [component]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_that_was_not_to_be_restored_and_changes_all_the_same_undoes_the_rollback(
    engine: Engine, component: str
) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    if component == "settings":
        edit_tools(billing)
        on_writing(engine, "toolset_tools", SIDE_EFFECTS[component], when="AFTER INSERT")
        restored = "tools"
    else:
        edit_settings(billing)
        on_writing(engine, "toolsets", SIDE_EFFECTS[component], when="AFTER UPDATE OF description")
        restored = "settings"
    found = mismatches(engine, billing.path, components=[restored])
    assert [name for name, _ in found] == [component]


@pytest.mark.parametrize(
    ("table", "lost"),
    [("tool_definitions", INVOICE), ("resource_definitions", LEDGER), ("prompt_templates", SUMMARY)],
    ids=["tool", "resource", "prompt"],
)
def test_what_was_to_be_provided_again_and_is_not_there_undoes_the_rollback(
    engine: Engine, table: str, lost: str
) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    active_deployment(billing).remove_tool(INVOICE)
    active_deployment(billing).remove_resource(LEDGER)
    billing.project.delete_prompt("summary")
    billing.remove_tool(INVOICE)
    column = "tool_urn" if table == "prompt_templates" else "urn"
    on_writing(engine, table, f"IF NEW.{column} = '{lost}' THEN RETURN NULL; END IF")
    found = mismatches(engine, billing.path, components=["tools", "resources"], on_missing="recreate")
    assert found == [(lost, "missing")]
