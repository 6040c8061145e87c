"""The deployment is restored by pointing back at the original where that is whole, otherwise by building it again."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.support.billing import INVOICE, a_full_toolset, active_deployment, edit_deployment
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import current_number, number_of_rows, release_of
from tests.support.world import Deployment, World


def deployment_row(engine: Engine, deployment: Deployment) -> Any:
    with engine.connect() as connection:
        return connection.execute(text("SELECT * FROM deployments WHERE id = :id"), {"id": deployment.id}).one()


def contents_of(engine: Engine, deployment: Deployment) -> list[str]:
    """Every row that belongs to a deployment, as text."""
    tables = ("deployments", "deployment_assets", "tool_definitions", "resource_definitions")
    with engine.connect() as connection:
        return [
            row
            for table in tables
            for row in connection.execute(
                text(
                    f"SELECT t::text FROM {table} t WHERE {'id' if table == 'deployments' else 'deployment_id'} = :id"
                    " ORDER BY 1"
                ),
                {"id": deployment.id},
            ).scalars()
        ]


def test_the_project_points_back_at_the_original_that_is_unchanged(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = active_deployment(billing)
    state = live_state(engine, billing)
    release(engine, billing)
    billing.project.deploy(tools={INVOICE: {"new": True}})
    roll_back(engine, billing, 1)
    assert active_deployment(billing) == original
    assert live_state(engine, billing) == state
    assert number_of_rows(engine, "deployments") == 2


def test_an_original_that_was_edited_is_built_again_and_left_as_it_is(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = active_deployment(billing)
    state = live_state(engine, billing)
    release(engine, billing)
    edit_deployment(billing)
    edited = contents_of(engine, original)
    roll_back(engine, billing, 1)
    built = active_deployment(billing)
    assert built != original
    assert deployment_row(engine, built).cloned_from == original.id
    assert live_state(engine, billing) == state
    assert contents_of(engine, original) == edited


@pytest.mark.parametrize("remnant", ["nothing", "another deployment"])
def test_an_original_that_was_deleted_is_built_again(engine: Engine, remnant: str) -> None:
    billing = a_full_toolset(engine)
    original = active_deployment(billing)
    state = live_state(engine, billing)
    release(engine, billing)
    billing.project.activate(None)
    original.delete()
    if remnant == "another deployment":
        billing.project.deploy(tools={INVOICE: {}})
    roll_back(engine, billing, 1)
    assert deployment_row(engine, active_deployment(billing)).cloned_from == original.id
    assert live_state(engine, billing) == state
    assert current_number(engine, billing) == 1


def test_an_original_that_moved_to_another_project_is_not_taken_from_there(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = active_deployment(billing)
    state = live_state(engine, billing)
    release(engine, billing)
    billing.project.activate(None)
    other = billing.project.organization.project("other")
    billing.rows.update("deployments", {"id": original.id}, project_id=other.id)
    roll_back(engine, billing, 1)
    assert active_deployment(billing) != original
    assert live_state(engine, billing) == state


def test_a_release_without_a_deployment_leaves_the_project_without_one(engine: Engine) -> None:
    toolset = World(engine).organization("acme").project("payments").toolset("bare")
    release(engine, toolset)
    later = toolset.project.deploy(tools={INVOICE: {}})
    done = roll_back(engine, toolset, 1)
    assert toolset.project.active() is None
    assert done.changes["deployment"].removed == ("status", f"tools/{INVOICE}")
    assert contents_of(engine, later) != []


def test_a_project_that_has_no_deployment_any_more_gets_the_original_back(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = active_deployment(billing)
    release(engine, billing)
    billing.project.activate(None)
    roll_back(engine, billing, 1)
    assert active_deployment(billing) == original


@pytest.mark.parametrize("status", ["pending", "completed", "failed"])
def test_the_status_is_restored(engine: Engine, status: str) -> None:
    billing = a_full_toolset(engine)
    original = active_deployment(billing)
    billing.rows.update("deployments", {"id": original.id}, status=status)
    state = live_state(engine, billing)
    release(engine, billing)
    other = "failed" if status == "completed" else "completed"
    billing.rows.update("deployments", {"id": original.id}, status=other)
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state
    assert done.changes["deployment"].changed == ({"key": "status", "old": other, "new": status},)
    assert deployment_row(engine, active_deployment(billing)).status == status


def test_another_deployment_with_the_same_content_stays_active(engine: Engine) -> None:
    project = World(engine).organization("acme").project("payments")
    toolset = project.toolset("billing", tools=[INVOICE])
    project.deploy(tools={INVOICE: {"a": 1}})
    release(engine, toolset)
    same = project.deploy(tools={INVOICE: {"a": 1}})
    toolset.edit(name="Edited")
    roll_back(engine, toolset, 1)
    assert project.active() == same


def test_a_built_deployment_is_not_built_a_second_time(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_deployment(billing)
    release(engine, billing)
    roll_back(engine, billing, 1)
    built = active_deployment(billing)
    deployments = number_of_rows(engine, "deployments")
    assert roll_back(engine, billing, 1).noop
    billing.edit(name="Edited")
    roll_back(engine, billing, 1)
    assert active_deployment(billing) == built
    assert number_of_rows(engine, "deployments") == deployments
    assert not drift(engine, billing).drifted


def test_an_edited_original_with_an_idempotency_key_can_be_built_again(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = active_deployment(billing)
    billing.rows.update("deployments", {"id": original.id}, idempotency_key="build-1")
    state = live_state(engine, billing)
    release(engine, billing)
    edit_deployment(billing)
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == state
    assert deployment_row(engine, original).idempotency_key == "build-1"


def test_slugs_and_urns_of_any_form_are_built_again(engine: Engine) -> None:
    toolset = World(engine).organization("acme").project("payments").toolset("odd")
    odd = [
        "a/b/c",
        "/",
        "",
        " ",
        'quo"te',
        "back\\slash",
        "é/😀",
        "nul\\u0000",
        "%s",
        ":toolset_id",
        "{x}",
        "'; --",
        "config",
    ]
    deployment = toolset.project.deploy(
        tools={f"tools/{name}": {name: name} for name in odd},
        resources={name: {} for name in odd},
        assets={("function", name): {name: [name]} for name in odd},
    )
    for position, name in enumerate(odd):
        toolset.add_tool(f"tools/{name}", position)
        toolset.add_resource(name, -position)
    state = live_state(engine, toolset)
    release(engine, toolset)
    toolset.project.activate(None)
    deployment.delete()
    for name in odd:
        toolset.remove_tool(f"tools/{name}")
        toolset.remove_resource(name)
    roll_back(engine, toolset, 1)
    assert live_state(engine, toolset) == state


def test_a_large_deployment_is_built_again_whole(engine: Engine) -> None:
    toolset = World(engine).organization("acme").project("payments").toolset("large")
    with engine.begin() as connection:
        connection.execute(
            text("""
                WITH deployment AS (
                    INSERT INTO deployments (project_id, status) VALUES (:project, 'completed') RETURNING id),
                activated AS (
                    UPDATE projects SET active_deployment_id = deployment.id
                    FROM deployment WHERE projects.id = :project),
                listed AS (
                    INSERT INTO toolset_tools (toolset_id, tool_urn, position)
                    SELECT :toolset, 'tools:t:' || n, n FROM generate_series(1, 5000) AS n)
                INSERT INTO tool_definitions (deployment_id, urn, name, definition)
                SELECT deployment.id, 'tools:t:' || n, 't' || n, jsonb_build_object('n', n, 'text', repeat('x', 50))
                FROM deployment, generate_series(1, 5000) AS n
            """),
            {"project": toolset.project.id, "toolset": toolset.id},
        )
    state = live_state(engine, toolset)
    assert len(state["deployment"]["tools"]) == len(state["tools"]) == 5000
    release(engine, toolset)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM tool_definitions WHERE urn LIKE '%7'"))
        connection.execute(text("DELETE FROM toolset_tools WHERE tool_urn LIKE '%3'"))
    done = roll_back(engine, toolset, 1)
    assert live_state(engine, toolset) == state
    assert len(done.changes["tools"].added) == len(done.changes["deployment"].added) == 500


def test_the_lineage_of_the_deployment_is_kept_with_the_source_state(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = active_deployment(billing)
    release(engine, billing)
    with engine.connect() as connection:
        query = text("SELECT deployment_id FROM source_states WHERE id = :id")
        row_id = release_of(engine, billing, 1).source_state_id
        assert connection.execute(query, {"id": row_id}).scalar_one() == original.id
