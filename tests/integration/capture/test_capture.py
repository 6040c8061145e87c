"""A release holds the complete state of its toolset, by value, each content once."""

from decimal import Decimal

import pytest
from sqlalchemy import Engine

from release_worker.errors import StaleState, ToolsetNotFound
from tests.support.billing import INVOICE, LEDGER, REFUND, SUMMARY, TARIFF, a_full_toolset
from tests.support.live_state import live_state
from tests.support.operations import release
from tests.support.records import (
    assert_numbers_and_chain_complete,
    captured_state,
    current_number,
    number_of_rows,
    recomputed_digests,
    release_of,
    releases_of,
    stored_digests,
    whole_database,
)
from tests.support.world import World

CONTENTS = ("toolset_versions", "source_states", "variation_versions")


def test_a_release_holds_the_complete_state(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    before = live_state(engine, billing)
    made = release(engine, billing)
    assert captured_state(engine, billing, 1) == before
    assert live_state(engine, billing) == before
    assert (made.release_number, made.toolset_version, made.created, made.toolset_id) == (1, 1, True, billing.id)
    assert made.digest == release_of(engine, billing, 1).digest
    assert current_number(engine, billing) == 1


def test_a_release_can_be_asked_for_by_path_or_by_id(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    by_path = release(engine, "acme/payments/billing")
    by_id = release(engine, str(billing.id).upper())
    assert by_path.toolset_id == by_id.toolset_id == billing.id
    assert (by_path.release_number, by_id.release_number) == (1, 2)


@pytest.mark.parametrize(
    "reference",
    ["acme/payments/other", "acme/other/billing", "other/payments/billing", "0190b5a0-0000-7000-8000-000000000000"],
)
def test_a_toolset_that_is_not_there_is_not_found(engine: Engine, reference: str) -> None:
    a_full_toolset(engine)
    with pytest.raises(ToolsetNotFound) as missing:
        release(engine, reference)
    assert missing.value.details == {"toolset": reference}


def test_a_deleted_toolset_is_not_found(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    billing.delete()
    for reference in (billing.path, str(billing.id)):
        with pytest.raises(ToolsetNotFound):
            release(engine, reference)


def test_who_released_and_what_they_said_is_kept(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    labels = {"build": 991, "branch": "main", "ok": True, "nested": {"a": [1, None]}}
    release(engine, billing, actor="ci", notes="two\nlines", labels=labels, request_id="request-1")
    row = release_of(engine, billing, 1)
    assert (row.released_by, row.notes, row.labels, row.request_id) == ("ci", "two\nlines", labels, "request-1")
    assert row.kind == "release"


def test_without_notes_and_labels_a_release_has_none(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    row = release_of(engine, billing, 1)
    assert (row.notes, row.labels, row.request_id) == (None, {}, None)


def test_several_tools_and_resources_are_held_in_position_order(engine: Engine) -> None:
    project = World(engine).organization("acme").project("payments")
    toolset = project.toolset("many")
    for position, urn in [(7, "tools:a"), (-1, "tools:z"), (3, "tools:m"), (3, "tools:B"), (3, "tools:é")]:
        toolset.add_tool(urn, position)
    for position, urn in [(2, "resources:x"), (1, "resources:y")]:
        toolset.add_resource(urn, position)
    release(engine, toolset)
    state = captured_state(engine, toolset, 1)
    # Equal positions by URN, byte by byte.
    assert list(state["tools"].items()) == [
        ("tools:z", -1),
        ("tools:B", 3),
        ("tools:m", 3),
        ("tools:é", 3),
        ("tools:a", 7),
    ]
    assert list(state["resources"].items()) == [("resources:y", 1), ("resources:x", 2)]


def test_a_toolset_without_tools_and_resources_in_an_empty_project_can_be_released(engine: Engine) -> None:
    toolset = World(engine).organization("acme").project("payments").toolset("empty")
    release(engine, toolset)
    assert captured_state(engine, toolset, 1) == {
        "tools": {},
        "resources": {},
        "settings": {"name": "Empty", "description": None, "settings": "{}"},
        "deployment": None,
        "system": {"config": {}, "prompts": {}},
        "global_variations": {},
        "toolset_variations": {},
    }
    row = release_of(engine, toolset, 1)
    assert row.source_state_id is not None
    assert (row.global_variations_version_id, row.toolset_variations_version_id) == (None, None)
    assert stored_digests(engine, toolset, 1) == recomputed_digests(engine, toolset, 1)


def test_variations_of_both_scopes_are_held_and_no_one_elses(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    neighbour = billing.project.toolset("neighbour")
    neighbour.vary(INVOICE, {"name": "theirs"})
    World(engine).organization("rival").vary(INVOICE, {"name": "rival"})
    release(engine, billing)
    state = captured_state(engine, billing, 1)
    assert state["global_variations"] == {INVOICE: '{"name": "make_invoice", "temperature": 0}'}
    assert state["toolset_variations"] == {REFUND: '{"description": "Pay money back"}'}


def test_the_source_snapshot_holds_the_active_deployment_and_the_system_and_nothing_else(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    billing.project.deploy(tools={"tools:inactive": {}}, activate=False)
    billing.project.delete_prompt("greeting")
    other = billing.project.organization.project("other")
    other.deploy(tools={"tools:other": {}})
    other.configure("other", 1)
    other.add_prompt("other")
    before = live_state(engine, billing)
    release(engine, billing)
    state = captured_state(engine, billing, 1)
    assert state == before
    assert set(state["deployment"]["tools"]) == {INVOICE, REFUND}
    assert set(state["deployment"]["resources"]) == {LEDGER, TARIFF}
    assert set(state["deployment"]["assets"]) == {"function/billing", "openapiv3/bank", "package/shared"}
    assert set(state["system"]["config"]) == {"model", "limits"}
    assert set(state["system"]["prompts"]) == {"summary"}


def test_a_release_keeps_its_content_when_every_source_row_is_edited(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    before = live_state(engine, billing)
    release(engine, billing)
    deployment = billing.project.active()
    assert deployment is not None
    deployment.edit_tool(INVOICE, name="edited", description="edited", definition={"edited": True})
    deployment.edit_resource(LEDGER, name="edited", description="edited", definition={"edited": True})
    deployment.edit_asset("function", "billing", name="edited", sha256="edited", config={"edited": True})
    billing.project.configure("model", "edited")
    billing.project.edit_prompt("greeting", prompt="edited", arguments=None, description="edited")
    billing.project.organization.vary(INVOICE, {"edited": True})
    billing.vary(REFUND, {"edited": True})
    billing.edit(name="edited", description="edited", settings={"edited": True})
    billing.move_tool(INVOICE, 40)
    billing.move_resource(LEDGER, 40)
    assert captured_state(engine, billing, 1) == before
    assert stored_digests(engine, billing, 1) == recomputed_digests(engine, billing, 1)


def test_a_release_keeps_its_content_when_every_source_row_is_deleted(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    before = live_state(engine, billing)
    release(engine, billing)
    deployment = billing.project.active()
    assert deployment is not None
    billing.project.activate(None)
    deployment.delete()
    for table in ("system_configs", "prompt_templates"):
        billing.rows.delete(table, {"project_id": billing.project.id})
    for table in ("toolset_tools", "toolset_resources", "variations"):
        billing.rows.delete(table, {"toolset_id": billing.id})
    billing.project.organization.unvary(INVOICE)
    assert captured_state(engine, billing, 1) == before
    assert stored_digests(engine, billing, 1) == recomputed_digests(engine, billing, 1)


def test_unchanged_state_is_stored_once_and_released_again(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    first = release(engine, billing)
    stored = {table: number_of_rows(engine, table) for table in CONTENTS}
    second = release(engine, billing)
    assert {table: number_of_rows(engine, table) for table in CONTENTS} == stored
    assert (second.release_number, second.toolset_version, second.digest) == (2, 1, first.digest)
    assert_numbers_and_chain_complete(engine, billing)


def test_only_the_part_that_changed_is_stored_again(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.edit(settings={"timeout": 31})
    release(engine, billing)
    first, second = releases_of(engine, billing)
    assert first.toolset_version_id != second.toolset_version_id
    assert first.source_state_id == second.source_state_id
    assert first.global_variations_version_id == second.global_variations_version_id
    assert first.toolset_variations_version_id == second.toolset_variations_version_id
    assert first.digest != second.digest


def test_two_toolsets_of_a_project_share_its_source_state_and_the_global_variations(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    neighbour = billing.project.toolset("neighbour", tools=[INVOICE])
    release(engine, billing)
    release(engine, neighbour)
    ours, theirs = release_of(engine, billing, 1), release_of(engine, neighbour, 1)
    assert ours.source_state_id == theirs.source_state_id
    assert ours.global_variations_version_id == theirs.global_variations_version_id
    assert theirs.toolset_variations_version_id is None


def test_content_that_comes_back_is_a_new_version_and_the_old_source_state(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.edit(name="Other")
    billing.project.configure("model", "small")
    release(engine, billing)
    billing.edit(name="Billing")
    billing.project.configure("model", {"name": "large", "temperature": 1})
    third = release(engine, billing)
    rows = releases_of(engine, billing)
    assert third.toolset_version == 3
    assert rows[0].source_state_id == rows[2].source_state_id != rows[1].source_state_id
    assert rows[0].digest == rows[2].digest != rows[1].digest
    assert_numbers_and_chain_complete(engine, billing)


def test_the_same_deployment_content_in_new_rows_is_the_same_source_state(engine: Engine) -> None:
    project = World(engine).organization("acme").project("payments")
    toolset = project.toolset("billing", tools=[INVOICE])
    content = {"tools": {INVOICE: {"a": 1, "b": [Decimal("1.5")]}}, "assets": {("package", "p"): {"v": 1}}}
    project.deploy(**content)  # type: ignore[arg-type]
    first = release(engine, toolset)
    project.deploy(**content)  # type: ignore[arg-type]
    second = release(engine, toolset)
    assert first.digest == second.digest
    assert number_of_rows(engine, "source_states") == 1


def test_a_changed_definition_under_an_unchanged_urn_is_a_change(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    first = release(engine, billing)
    deployment = billing.project.active()
    assert deployment is not None
    deployment.edit_tool(INVOICE, definition={"method": "POST", "retries": 4})
    second = release(engine, billing, only_if_changed=True)
    assert second.created
    assert second.digest != first.digest


def test_only_if_changed_answers_with_the_current_release_and_writes_nothing(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    first = release(engine, billing)
    before = whole_database(engine)
    again = release(engine, billing, only_if_changed=True)
    assert again == first.model_copy(update={"created": False})
    assert whole_database(engine) == before


def test_only_if_changed_makes_the_first_release(engine: Engine) -> None:
    assert release(engine, a_full_toolset(engine), only_if_changed=True).created


def test_only_if_changed_compares_with_the_current_release_not_with_the_newest(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    first = release(engine, billing)
    billing.edit(name="Other")
    release(engine, billing)
    billing.edit(current_release_id=first.release_id)
    assert release(engine, billing, only_if_changed=True).release_number == 3


def test_a_release_is_refused_when_another_one_is_current_than_the_caller_expects(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    before = whole_database(engine)
    for expected in (0, 2):
        with pytest.raises(StaleState) as stale:
            release(engine, billing, expected_current_release=expected)
        assert stale.value.details == {"expected_current_release": expected, "current_release_number": 1}
    assert whole_database(engine) == before
    assert release(engine, billing, expected_current_release=1).release_number == 2


def test_expecting_release_0_means_expecting_none(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    with pytest.raises(StaleState) as stale:
        release(engine, billing, expected_current_release=1)
    assert stale.value.details == {"expected_current_release": 1, "current_release_number": None}
    assert release(engine, billing, expected_current_release=0).release_number == 1


def test_a_tool_that_nothing_provides_is_captured_as_it_is_listed(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    billing.add_tool("tools:function:gone:nothing", 9)
    release(engine, billing)
    assert captured_state(engine, billing, 1)["tools"]["tools:function:gone:nothing"] == 9
    assert SUMMARY in captured_state(engine, billing, 1)["tools"]


def test_releasing_changes_nothing_of_live_state_but_the_current_release(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    before = whole_database(engine)
    release(engine, billing)
    after = whole_database(engine)
    written = {table for table in before if before[table] != after[table]}
    assert written == {*CONTENTS, "toolset_releases", "toolsets"}
