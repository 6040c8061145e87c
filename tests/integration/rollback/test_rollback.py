"""A rollback puts back the release that was asked for, exactly, keeps what it overwrites, and says what it did."""

from typing import Any

import pytest
from sqlalchemy import Engine

from release_worker.errors import InvalidRequest, ReleaseNotFound, StaleState, ToolsetNotFound
from tests.support.billing import (
    COMPONENTS,
    EDITS,
    INVOICE,
    LEDGER,
    REFUND,
    SUMMARY,
    TARIFF,
    a_full_toolset,
    edit_everything,
    edit_settings,
    edit_tools,
)
from tests.support.live_state import live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import (
    assert_numbers_and_chain_complete,
    captured_state,
    current_number,
    release_of,
    releases_of,
    rollbacks_of,
    whole_database,
)
from tests.support.world import Toolset


def written_tables(before: dict[str, list[Any]], after: dict[str, list[Any]]) -> set[str]:
    return {table for table in before if before[table] != after[table]}


@pytest.mark.parametrize("component", COMPONENTS)
def test_rollback_to_the_previous_release_undoes_an_edit_of_each_component(engine: Engine, component: str) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    EDITS[component](billing)
    release(engine, billing)
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing) == original
    assert set(done.changes) == {component}
    assert current_number(engine, billing) == 1


def test_rollback_to_the_previous_release_restores_all_of_it(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    edit_everything(billing)
    release(engine, billing)
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing) == original
    assert not drift(engine, billing).drifted
    assert (done.from_release_number, done.to_release_number, done.current_release_number) == (2, 1, 1)
    assert (done.backup_release_number, done.noop, done.dry_run, done.warnings) == (None, False, False, ())
    assert done.components == COMPONENTS
    assert set(done.changes) == set(COMPONENTS)
    assert [row.kind for row in releases_of(engine, billing)] == ["release", "release"]


def test_rollback_and_roll_forward_again_restore_both_states(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    first = live_state(engine, billing)
    release(engine, billing)
    edit_everything(billing)
    second = live_state(engine, billing)
    release(engine, billing)
    for number, state in [(1, first), (2, second), (1, first), (2, second)]:
        roll_back(engine, billing, number)
        assert live_state(engine, billing) == state
        assert current_number(engine, billing) == number
    assert len(releases_of(engine, billing)) == 2


def test_any_release_of_a_long_history_can_be_restored_the_first_and_very_old_ones_too(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    states = {}
    edits = list(EDITS.values())
    for number in range(1, 21):
        if number <= len(edits):
            edits[number - 1](billing)
        else:
            billing.edit(settings={"edit": number})
            billing.project.configure("edit", number)
            billing.vary(INVOICE, {"edit": number // 3})
        states[number] = live_state(engine, billing)
        release(engine, billing)
    for number in (1, 15, 2, 20, 7, 1):
        roll_back(engine, billing, number)
        assert live_state(engine, billing) == states[number]
        assert current_number(engine, billing) == number
    assert {number: captured_state(engine, billing, number) for number in states} == states


def test_rollback_restores_a_toolset_that_was_modified_since_without_a_release(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    edit_everything(billing)
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == original


def test_rollback_brings_back_tools_and_resources_that_were_deleted_since(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    for urn in (INVOICE, REFUND, SUMMARY):
        billing.remove_tool(urn)
    for urn in (LEDGER, TARIFF):
        billing.remove_resource(urn)
    billing.project.delete_prompt("summary")
    billing.project.deploy()
    release(engine, billing)
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == original


def test_rollback_removes_what_came_later(engine: Engine) -> None:
    project = a_full_toolset(engine).project
    bare = project.organization.project("bare").toolset("bare")
    original = live_state(engine, bare)
    release(engine, bare)
    bare.project.deploy(tools={INVOICE: {}})
    bare.project.configure("model", 1)
    bare.project.add_prompt("greeting")
    bare.add_tool(INVOICE)
    bare.add_resource(LEDGER)
    bare.vary(INVOICE, {"name": "x"})
    roll_back(engine, bare, 1)
    assert live_state(engine, bare) == original


def test_variations_that_came_later_are_removed_where_the_release_had_none(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    billing.unvary(REFUND)
    billing.project.organization.unvary(INVOICE)
    release(engine, billing)
    row = release_of(engine, billing, 1)
    assert (row.global_variations_version_id, row.toolset_variations_version_id) == (None, None)
    billing.vary(REFUND, {"a": 1})
    billing.project.organization.vary(INVOICE, {"a": 1})
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing)["global_variations"] == {}
    assert live_state(engine, billing)["toolset_variations"] == {}
    assert done.changes["global_variations"].removed == (INVOICE,)
    assert done.changes["toolset_variations"].removed == (REFUND,)
    assert current_number(engine, billing) == 1


def test_the_order_of_tools_and_resources_is_restored_with_their_positions(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    for position, urn in [(30, INVOICE), (20, SUMMARY), (20, REFUND)]:
        billing.move_tool(urn, position)
    billing.move_resource(LEDGER, -5)
    original = live_state(engine, billing)
    release(engine, billing)
    for position, urn in enumerate([INVOICE, REFUND, SUMMARY]):
        billing.move_tool(urn, position)
    billing.move_resource(LEDGER, 8)
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing) == original
    assert original["tools"] == {INVOICE: 30, SUMMARY: 20, REFUND: 20}
    assert done.changes["resources"].changed == ({"key": LEDGER, "fields": {"position": {"old": 8, "new": -5}}},)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_can_be_rolled_back_alone(engine: Engine, component: str) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    edit_everything(billing)
    edited = live_state(engine, billing)
    release(engine, billing)
    done = roll_back(engine, billing, 1, components=[component])
    assert live_state(engine, billing) == {**edited, component: original[component]}
    assert done.components == (component,)
    assert set(done.changes) == {component}


def test_several_components_can_be_rolled_back_together(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    edit_everything(billing)
    edited = live_state(engine, billing)
    chosen = ("toolset_variations", "tools", "system")
    done = roll_back(engine, billing, 1, components=list(chosen))
    assert live_state(engine, billing) == {**edited, **{name: original[name] for name in chosen}}
    assert done.components == ("tools", "system", "toolset_variations")


def test_the_outcome_of_a_partial_rollback_is_a_restored_release_that_is_current(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    release(engine, billing)
    done = roll_back(engine, billing, 1, components=["settings"], actor="oncall", request_id="request-9")
    restored = release_of(engine, billing, 3)
    assert (done.current_release_number, done.backup_release_number) == (3, None)
    assert (restored.kind, restored.released_by, restored.request_id) == ("restored", "oncall", "request-9")
    assert restored.predecessor_id == release_of(engine, billing, 2).id
    assert captured_state(engine, billing, 3) == live_state(engine, billing)
    assert current_number(engine, billing) == 3
    assert not drift(engine, billing).drifted
    assert_numbers_and_chain_complete(engine, billing)


def test_a_partial_rollback_that_restores_all_that_differed_makes_the_target_current(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_settings(billing)
    release(engine, billing)
    done = roll_back(engine, billing, 1, components=["settings", "system"])
    assert done.current_release_number == current_number(engine, billing) == 1
    assert len(releases_of(engine, billing)) == 2


def test_unreleased_edits_are_kept_in_a_backup_first(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    edited = live_state(engine, billing)
    done = roll_back(engine, billing, 1, actor="oncall", request_id="request-9")
    backup = release_of(engine, billing, 2)
    assert done.backup_release_number == 2
    assert (backup.kind, backup.released_by, backup.request_id) == ("backup", "oncall", "request-9")
    assert backup.predecessor_id == release_of(engine, billing, 1).id
    assert captured_state(engine, billing, 2) == edited
    assert current_number(engine, billing) == 1


@pytest.mark.parametrize("components", [None, ["settings"], ["tools", "toolset_variations"]])
def test_a_rollback_is_undone_by_rolling_back_to_its_backup(engine: Engine, components: list[str] | None) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    edit_everything(billing)
    edited = live_state(engine, billing)
    done = roll_back(engine, billing, 1, components=components)
    assert done.backup_release_number is not None
    undone = roll_back(engine, billing, done.backup_release_number)
    assert live_state(engine, billing) == edited
    assert undone.current_release_number == done.backup_release_number
    assert undone.backup_release_number is None
    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == original


def test_no_backup_is_made_where_a_release_holds_live_state(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    release(engine, billing)
    assert roll_back(engine, billing, 1).backup_release_number is None
    assert len(releases_of(engine, billing)) == 2


def test_a_rollback_to_the_current_release_undoes_unreleased_edits(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    edit_tools(billing)
    done = roll_back(engine, billing, 1)
    assert live_state(engine, billing) == original
    assert (done.from_release_number, done.backup_release_number, done.current_release_number) == (1, 2, 1)


def test_a_rollback_of_a_toolset_that_has_no_current_release_keeps_live_state_first(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    original = live_state(engine, billing)
    release(engine, billing)
    billing.edit(current_release_id=None, name="Edited")
    edited = live_state(engine, billing)
    done = roll_back(engine, billing, 1, expected_current_release=0)
    assert live_state(engine, billing) == original
    assert (done.from_release_number, done.backup_release_number, done.current_release_number) == (None, 2, 1)
    assert captured_state(engine, billing, 2) == edited
    [record] = rollbacks_of(engine, billing)
    assert record.from_release_id is None


def test_a_rollback_is_recorded_with_who_why_and_what(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_settings(billing)
    done = roll_back(engine, billing, 1, actor="oncall", reason="bad\nprompt", request_id="request-9")
    [record] = rollbacks_of(engine, billing)
    by_number = {row.release_number: row.id for row in releases_of(engine, billing)}
    assert record.id == done.rollback_id
    assert (record.from_release_id, record.to_release_id) == (by_number[1], by_number[1])
    assert record.backup_release_id == by_number[2]
    assert tuple(record.components) == COMPONENTS
    assert (record.reason, record.rolled_back_by, record.request_id) == ("bad\nprompt", "oncall", "request-9")
    assert record.changes == {
        "settings": {
            "added": [],
            "removed": [],
            "changed": [
                {"key": "description", "old": None, "new": "Invoices and refunds"},
                {"key": "name", "old": "Billing 2", "new": "Billing"},
                {
                    "key": "settings",
                    "fields": {
                        "beta": {"old": True},
                        "tags": {"new": ["eu", "b2b"]},
                        "timeout": {"old": 31, "new": 30},
                    },
                },
            ],
        }
    }


def test_changes_name_what_is_added_removed_and_changed_from_live_state_to_the_outcome(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    changes = {name: changed.model_dump() for name, changed in roll_back(engine, billing, 1).changes.items()}
    assert changes["tools"] == {
        "added": (REFUND,),
        "removed": ("tools:function:billing:void",),
        "changed": ({"key": INVOICE, "fields": {"position": {"old": 12, "new": 0}}},),
        "moved": (INVOICE,),
    }
    assert changes["deployment"]["added"] == ("assets/package/shared",)
    assert changes["deployment"]["removed"] == (
        "assets/package/extra",
        "resources/resources:function:billing:rates",
        "tools/tools:function:billing:void",
    )
    assert changes["deployment"]["changed"] == (
        {
            "key": "assets/function/billing",
            "fields": {
                "sha256": {"old": "0" * 64, "new": changes["deployment"]["changed"][0]["fields"]["sha256"]["new"]}
            },
        },
        {"key": f"resources/{LEDGER}", "fields": {"name": {"old": "book", "new": "ledger"}}},
        {
            "key": f"tools/{INVOICE}",
            "fields": {
                "definition": {"old": {"method": "POST", "retries": 4}, "new": {"method": "POST", "retries": 3}},
                "description": {"old": "Now described", "new": None},
            },
        },
    )
    assert changes["system"] == {
        "added": ("config/limits", "prompts/greeting"),
        "removed": ("config/region", "prompts/farewell"),
        "changed": (
            {"key": "config/model", "fields": {"name": {"old": "small", "new": "large"}}},
            {
                "key": "prompts/summary",
                "fields": {
                    "arguments": {"old": {"length": {"type": "integer"}}},
                    "prompt": {"old": "Sum up, briefly.", "new": "This is summary."},
                },
            },
        ),
    }
    assert changes["global_variations"] == {
        "added": (),
        "removed": (REFUND,),
        "changed": (
            {
                "key": INVOICE,
                "fields": {"name": {"old": "bill", "new": "make_invoice"}, "temperature": {"new": 0}},
            },
        ),
    }


def test_a_dry_run_writes_nothing_and_says_what_the_rollback_would_do(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_everything(billing)
    before = whole_database(engine)
    planned = roll_back(engine, billing, 1, dry_run=True)
    assert whole_database(engine) == before
    assert (planned.dry_run, planned.noop, planned.rollback_id) == (True, False, None)
    assert (planned.from_release_number, planned.to_release_number) == (1, 1)
    done = roll_back(engine, billing, 1)
    assert planned.changes == done.changes
    assert planned.components == done.components


def test_a_rollback_to_the_current_release_changes_nothing_where_live_state_has_not_moved(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    before = whole_database(engine)
    for options in ({}, {"dry_run": True}, {"components": ["tools"]}, {"on_missing": "recreate"}):
        done = roll_back(engine, billing, 1, **options)
        assert (done.noop, done.rollback_id, done.backup_release_number, done.changes) == (True, None, None, {})
        assert (done.from_release_number, done.to_release_number, done.current_release_number) == (1, 1, 1)
    assert whole_database(engine) == before


def test_only_the_pointer_moves_where_live_state_is_the_target_already(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    release(engine, billing)
    before = whole_database(engine)
    done = roll_back(engine, billing, 1)
    assert (done.noop, done.changes, done.current_release_number) == (False, {}, 1)
    assert current_number(engine, billing) == 1
    assert written_tables(before, whole_database(engine)) == {"toolsets", "toolset_rollbacks"}


def test_only_the_pointer_moves_where_the_target_was_put_back_by_hand(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_settings(billing)
    release(engine, billing)
    billing.edit(name="Billing", description="Invoices and refunds", settings={"tags": ["eu", "b2b"], "timeout": 30})
    done = roll_back(engine, billing, 1)
    assert (done.noop, done.changes, done.backup_release_number, done.current_release_number) == (False, {}, None, 1)
    assert len(releases_of(engine, billing)) == 2


@pytest.mark.parametrize(
    ("component", "tables"),
    [
        ("tools", {"toolset_tools"}),
        ("resources", {"toolset_resources"}),
        ("settings", set()),
        ("deployment", {"projects"}),
        ("system", {"projects", "system_configs", "prompt_templates"}),
        ("global_variations", {"organizations", "variations"}),
        ("toolset_variations", {"variations"}),
    ],
)
def test_restoring_a_component_writes_to_no_other_table(engine: Engine, component: str, tables: set[str]) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    if component == "deployment":
        billing.project.deploy()
    else:
        EDITS[component](billing)
    release(engine, billing)
    before = whole_database(engine)
    roll_back(engine, billing, 1)
    assert written_tables(before, whole_database(engine)) == {*tables, "toolsets", "toolset_rollbacks"}


def test_rows_that_do_not_differ_are_not_written(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    before = whole_database(engine)
    billing.add_tool("tools:new", 9)
    billing.add_resource("resources:new", 9)
    billing.project.configure("new", 1)
    billing.project.organization.vary("tools:new", {})
    billing.vary("tools:new", {})
    roll_back(engine, billing, 1)
    after = whole_database(engine)
    for table in ("toolset_tools", "toolset_resources", "system_configs", "prompt_templates", "variations"):
        assert after[table] == before[table]


def test_a_prompt_that_was_deleted_comes_back_as_the_same_row(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    prompt_id = billing.project.add_prompt("kept")
    release(engine, billing)
    billing.project.delete_prompt("kept")
    roll_back(engine, billing, 1)
    with engine.connect() as connection:
        query = "SELECT id FROM prompt_templates WHERE name = 'kept' AND deleted_at IS NULL"
        assert connection.exec_driver_sql(query).scalars().all() == [prompt_id]


def test_a_rollback_is_refused_when_another_release_is_current_than_the_caller_expects(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    edit_settings(billing)
    release(engine, billing)
    before = whole_database(engine)
    for expected in (0, 1, 3):
        with pytest.raises(StaleState) as stale:
            roll_back(engine, billing, 1, expected_current_release=expected)
        assert stale.value.details == {"expected_current_release": expected, "current_release_number": 2}
        planned = roll_back(engine, billing, 1, expected_current_release=expected, dry_run=True)
        assert planned.refused == stale.value.as_record()
    assert whole_database(engine) == before
    assert roll_back(engine, billing, 1, expected_current_release=2).current_release_number == 1


def test_a_release_that_the_toolset_does_not_have_is_not_found(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    neighbour = billing.project.toolset("neighbour")
    release(engine, billing)
    for _ in range(3):
        release(engine, neighbour)
    before = whole_database(engine)
    with pytest.raises(ReleaseNotFound) as missing:
        roll_back(engine, billing, 3)
    assert missing.value.details == {"toolset": billing.path, "release_number": 3}
    assert whole_database(engine) == before


def test_a_toolset_that_is_not_there_cannot_be_rolled_back(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.delete()
    with pytest.raises(ToolsetNotFound):
        roll_back(engine, "acme/payments/billing", 1)


def test_a_component_that_no_one_provides_is_an_invalid_request(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    with pytest.raises(InvalidRequest) as invalid:
        roll_back(engine, billing, 1, components=["tools", "colours"])
    assert [problem["field"] for problem in invalid.value.details["problems"]] == ["components"]


def test_a_toolset_is_found_again_after_its_name_was_changed_back(engine: Engine) -> None:
    """The slug is not state: a rollback leaves it."""
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.edit(slug="moved", name="Moved")
    roll_back(engine, Toolset(billing.rows, billing.id, billing.project, "moved"), 1)
    assert release(engine, "acme/payments/moved").release_number == 3
