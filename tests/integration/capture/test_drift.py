"""Drift: live state against the current release; it reads only."""

import pytest
from sqlalchemy import Engine

from release_worker.domain.requests.check_drift import CheckDrift
from release_worker.errors import ToolsetNotFound
from release_worker.queries.check_drift import check_drift
from release_worker.state.registry import built_in_components
from release_worker.state.work import Work
from tests.support.billing import (
    COMPONENTS,
    EDITS,
    INVOICE,
    REFUND,
    a_full_toolset,
    active_deployment,
    edit_everything,
    edit_tools,
)
from tests.support.operations import drift, release, roll_back
from tests.support.records import whole_database


def test_a_toolset_without_a_release_has_drifted(engine: Engine) -> None:
    found = drift(engine, a_full_toolset(engine))
    assert (found.drifted, found.current_release_number, found.changes) == (True, None, {})


def test_a_toolset_that_was_just_released_has_not_drifted(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    found = drift(engine, billing)
    assert (found.drifted, found.current_release_number, found.changes) == (False, 1, {})
    assert found.toolset_id == billing.id


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_edit_of_a_component_is_drift_of_that_component(engine: Engine, component: str) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    EDITS[component](billing)
    found = drift(engine, billing)
    assert found.drifted
    assert set(found.changes) == {component}


def test_changes_lead_from_the_release_to_live_state(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_tools(billing)
    assert drift(engine, billing).changes["tools"].model_dump() == {
        "added": ("tools:function:billing:void",),
        "removed": (REFUND,),
        "changed": ({"key": INVOICE, "fields": {"position": {"old": 0, "new": 12}}},),
        "moved": (INVOICE,),
    }


def test_a_deployment_that_is_gone_is_drift(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.project.activate(None)
    assert "status" in drift(engine, billing).changes["deployment"].removed


def test_the_same_content_in_other_rows_is_no_drift(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    active_deployment(billing).remove_tool(INVOICE)
    active_deployment(billing).define_tool(INVOICE, {"retries": 3, "method": "POST"})
    billing.project.delete_prompt("greeting")
    billing.project.add_prompt("greeting", prompt="Hello {{name}}", arguments={"name": {"type": "string"}})
    billing.unvary(REFUND)
    billing.vary(REFUND, {"description": "Pay money back"})
    assert not drift(engine, billing).drifted


def test_drift_is_measured_against_the_current_release_not_the_newest(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    release(engine, billing)
    roll_back(engine, billing, 1)
    found = drift(engine, billing)
    assert (found.drifted, found.current_release_number) == (False, 1)


def test_what_belongs_to_others_is_no_drift(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(a_full_toolset(engine, organization="rival"))
    neighbour = billing.project.toolset("neighbour", tools=[INVOICE])
    neighbour.vary(INVOICE, {"theirs": True})
    billing.project.deploy(activate=False)
    assert not drift(engine, billing).drifted


def test_checking_drift_works_in_a_read_only_transaction(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    before = whole_database(engine)
    with engine.connect().execution_options(postgresql_readonly=True) as connection:
        assert check_drift(
            Work(connection, billing.id, built_in_components()), CheckDrift(toolset=billing.path)
        ).drifted
    assert whole_database(engine) == before


def test_the_drift_of_a_deleted_toolset_is_not_found(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.delete()
    with pytest.raises(ToolsetNotFound):
        drift(engine, billing)
