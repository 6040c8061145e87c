"""Tools and resources that the release served and nothing would provide: `on_missing` decides."""

from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, text

from release_worker.errors import MissingDependencies, SharedStateImpact
from tests.support.billing import INVOICE, LEDGER, REFUND, SUMMARY, TARIFF, a_full_toolset, active_deployment
from tests.support.live_state import LiveState, live_state
from tests.support.operations import drift, release, roll_back
from tests.support.records import captured_state, current_number, release_of, releases_of, whole_database
from tests.support.world import Toolset, World

VOID = "tools:function:other:void"
MEMBERS = ["tools", "resources"]


@dataclass
class Scene:
    """`billing`, released as number 1 with what it listed; since then, what provided that is gone and VOID has come."""

    billing: Toolset
    released: LiveState
    live: LiveState


@pytest.fixture
def scene(engine: Engine) -> Scene:
    billing = a_full_toolset(engine)
    released = live_state(engine, billing)
    release(engine, billing)
    billing.project.deploy(tools={VOID: {"new": 1}, REFUND: {"new": 2}}, assets={("function", "other"): {"new": 3}})
    billing.project.delete_prompt("summary")
    for urn in (INVOICE, REFUND, SUMMARY):
        billing.remove_tool(urn)
    for urn in (LEDGER, TARIFF):
        billing.remove_resource(urn)
    billing.add_tool(VOID)
    release(engine, billing)
    return Scene(billing, released, live_state(engine, billing))


def test_a_whole_rollback_misses_nothing_because_it_restores_what_provides(engine: Engine, scene: Scene) -> None:
    done = roll_back(engine, scene.billing, 1)
    assert live_state(engine, scene.billing) == scene.released
    assert (done.warnings, done.current_release_number) == ((), 1)


def test_fail_lists_all_that_is_missing_and_changes_nothing(engine: Engine, scene: Scene) -> None:
    before = whole_database(engine)
    with pytest.raises(MissingDependencies) as missing:
        roll_back(engine, scene.billing, 1, components=MEMBERS)
    assert missing.value.details == {"tools": [INVOICE, SUMMARY], "resources": [LEDGER, TARIFF]}
    assert INVOICE in missing.value.message
    planned = roll_back(engine, scene.billing, 1, components=MEMBERS, dry_run=True)
    assert planned.refused == missing.value.as_record()
    assert planned.missing == {"tools": (INVOICE, SUMMARY), "resources": (LEDGER, TARIFF)}
    assert whole_database(engine) == before


@pytest.mark.parametrize(("component", "kept"), [("tools", "resources"), ("resources", "tools")])
def test_only_the_chosen_components_can_miss_something(engine: Engine, scene: Scene, component: str, kept: str) -> None:
    with pytest.raises(MissingDependencies) as missing:
        roll_back(engine, scene.billing, 1, components=[component])
    assert missing.value.details[component]
    assert missing.value.details[kept] == []


def test_skip_restores_the_rest_and_warns(engine: Engine, scene: Scene) -> None:
    done = roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="skip")
    state = live_state(engine, scene.billing)
    assert state == {**scene.live, "tools": {REFUND: scene.released["tools"][REFUND]}, "resources": {}}
    warned = " ".join(done.warnings)
    assert all(urn in warned for urn in (INVOICE, SUMMARY, LEDGER, TARIFF))
    assert REFUND not in warned
    assert done.changes["tools"].added == (REFUND,)
    assert done.changes["tools"].removed == (VOID,)
    assert release_of(engine, scene.billing, 3).kind == "restored"
    assert (done.current_release_number, current_number(engine, scene.billing)) == (3, 3)
    assert captured_state(engine, scene.billing, 3) == state
    assert not drift(engine, scene.billing).drifted


def test_skip_is_not_needed_where_nothing_is_missing(engine: Engine, scene: Scene) -> None:
    done = roll_back(engine, scene.billing, 1, on_missing="skip")
    assert (done.warnings, done.current_release_number) == ((), 1)
    assert live_state(engine, scene.billing) == scene.released


def test_recreate_provides_what_is_missing_in_a_new_deployment_and_only_adds(engine: Engine, scene: Scene) -> None:
    billing, released, live = scene.billing, scene.released, scene.live
    before = active_deployment(billing)
    done = roll_back(engine, billing, 1, components=MEMBERS, on_missing="recreate")
    state = live_state(engine, billing)
    assert state["tools"] == released["tools"]
    assert state["resources"] == released["resources"]
    assert state["deployment"] == {
        "status": "completed",
        # The code that the added tools run comes along.
        "assets": {
            **live["deployment"]["assets"],
            "function/billing": released["deployment"]["assets"]["function/billing"],
        },
        "tools": {**live["deployment"]["tools"], INVOICE: released["deployment"]["tools"][INVOICE]},
        "resources": released["deployment"]["resources"],
    }
    assert state["system"]["prompts"]["summary"] == released["system"]["prompts"]["summary"]
    for same in ("settings", "global_variations", "toolset_variations"):
        assert state[same] == live[same]
    with engine.connect() as connection:
        lineage = text("SELECT cloned_from FROM deployments WHERE id = :id")
        assert connection.execute(lineage, {"id": active_deployment(billing).id}).scalar_one() == before.id
    added = {"assets/function/billing", f"tools/{INVOICE}", f"resources/{LEDGER}", f"resources/{TARIFF}"}
    assert set(done.changes["deployment"].added) == added
    assert done.changes["system"].added == ("prompts/summary",)
    assert release_of(engine, billing, 3).kind == "restored"
    assert done.current_release_number == current_number(engine, billing) == 3
    assert not drift(engine, billing).drifted


def test_what_was_recreated_is_undone_by_rolling_back_to_the_release_before(engine: Engine, scene: Scene) -> None:
    roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate")
    roll_back(engine, scene.billing, 2)
    assert live_state(engine, scene.billing) == scene.live


def test_recreate_does_not_replace_what_is_provided_otherwise_now(engine: Engine, scene: Scene) -> None:
    roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate")
    state = live_state(engine, scene.billing)
    assert state["deployment"]["tools"][REFUND] == scene.live["deployment"]["tools"][REFUND]
    assert state["deployment"]["tools"][VOID] == scene.live["deployment"]["tools"][VOID]


def test_recreate_does_not_replace_an_asset_of_the_same_kind_and_slug(engine: Engine, scene: Scene) -> None:
    active_deployment(scene.billing).attach("function", "billing", {"newer": True})
    live = live_state(engine, scene.billing)
    roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate")
    assert (
        live_state(engine, scene.billing)["deployment"]["assets"]["function/billing"]
        == live["deployment"]["assets"]["function/billing"]
    )


def test_recreate_brings_the_code_of_every_slug_that_the_tool_is_of(engine: Engine) -> None:
    tool, slugs = "tools:function:billing:eu:invoice", ("billing", "billing:eu", "billing:us", "bill", "eu")
    project = World(engine).organization("acme").project("payments")
    project.deploy(tools={tool: {}}, assets={("function", slug): {} for slug in slugs})
    toolset = project.toolset("toolset", tools=[tool])
    release(engine, toolset)
    project.deploy(assets={("function", "other"): {}})
    done = roll_back(engine, toolset, 1, components=["tools"], on_missing="recreate")
    code = {"assets/function/billing", "assets/function/billing:eu"}
    assert set(done.changes["deployment"].added) == {f"tools/{tool}", *code}
    assert live_state(engine, toolset)["deployment"]["assets"].keys() == {
        "function/other",
        "function/billing",
        "function/billing:eu",
    }


def test_recreate_works_where_no_deployment_is_active(engine: Engine, scene: Scene) -> None:
    scene.billing.project.activate(None)
    roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate")
    state = live_state(engine, scene.billing)
    assert state["deployment"]["tools"] == scene.released["deployment"]["tools"]
    assert state["deployment"]["resources"] == scene.released["deployment"]["resources"]
    assert not drift(engine, scene.billing).drifted


def test_recreate_brings_a_prompt_back_without_a_new_deployment_where_only_that_is_missing(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    state = live_state(engine, billing)
    release(engine, billing)
    billing.project.delete_prompt("summary")
    billing.remove_tool(SUMMARY)
    deployment = active_deployment(billing)
    roll_back(engine, billing, 1, components=["tools"], on_missing="recreate")
    assert live_state(engine, billing) == state
    assert active_deployment(billing) == deployment
    assert current_number(engine, billing) == 1


def test_recreate_keeps_its_hands_off_a_prompt_that_took_the_name(engine: Engine, scene: Scene) -> None:
    scene.billing.project.add_prompt("summary", prompt="Someone else's, and no tool")
    before = whole_database(engine)
    with pytest.raises(MissingDependencies) as missing:
        roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate")
    assert missing.value.details == {"tools": [SUMMARY], "resources": []}
    assert whole_database(engine) == before


def test_a_prompt_that_took_the_name_and_provides_the_tool_is_enough(engine: Engine, scene: Scene) -> None:
    scene.billing.project.add_prompt("another", tool_urn=SUMMARY)
    done = roll_back(engine, scene.billing, 1, components=["tools"], on_missing="skip")
    assert SUMMARY in live_state(engine, scene.billing)["tools"]
    assert not [warning for warning in done.warnings if SUMMARY in warning]


def test_a_deleted_prompt_provides_nothing(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    release(engine, billing)
    billing.remove_tool(SUMMARY)
    billing.project.delete_prompt("summary")
    with pytest.raises(MissingDependencies) as missing:
        roll_back(engine, billing, 1, components=["tools"])
    assert missing.value.details["tools"] == [SUMMARY]


@pytest.mark.parametrize(("then", "now"), [("deployment", "system"), ("system", "deployment")])
def test_what_is_not_rolled_back_provides_as_it_is_and_what_is_as_it_was(engine: Engine, then: str, now: str) -> None:
    """A tool came from a deployment and now comes from a template, or the other way round."""
    project = World(engine).organization("acme").project("payments")
    toolset = project.toolset("toolset", tools=[SUMMARY])

    def provide_by(component: str) -> None:
        project.deploy(tools={SUMMARY: {}} if component == "deployment" else {})
        project.delete_prompt("summary")
        project.add_prompt("summary", tool_urn=SUMMARY if component == "system" else None)

    provide_by(then)
    release(engine, toolset)
    provide_by(now)
    toolset.remove_tool(SUMMARY)
    refused = roll_back(engine, toolset, 1, components=["tools", now], dry_run=True).refused
    assert refused is not None
    assert refused["type"] == "MissingDependencies"
    for components in (["tools"], ["tools", then], ["tools", then, now]):
        assert roll_back(engine, toolset, 1, components=components, dry_run=True).changes["tools"].added == (SUMMARY,)


def test_an_inactive_deployment_provides_nothing(engine: Engine, scene: Scene) -> None:
    scene.billing.project.deploy(tools={INVOICE: {}}, activate=False)
    with pytest.raises(MissingDependencies) as missing:
        roll_back(engine, scene.billing, 1, components=["tools"])
    assert INVOICE in missing.value.details["tools"]


def test_recreating_what_another_toolset_lists_in_vain_is_shared_impact(engine: Engine, scene: Scene) -> None:
    waiting = scene.billing.project.toolset("waiting", tools=[INVOICE])
    with pytest.raises(SharedStateImpact) as refused:
        roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate")
    assert [(one["path"], one["components"]) for one in refused.value.details["toolsets"]] == [
        (waiting.path, ["deployment"])
    ]
    roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate", allow_shared_impact=True)


@pytest.mark.parametrize("on_missing", ["fail", "skip", "recreate"])
def test_what_nothing_provided_at_capture_either_is_put_back_with_a_warning(engine: Engine, on_missing: str) -> None:
    billing = a_full_toolset(engine)
    billing.add_tool("tools:gone:already", 8)
    billing.add_resource("resources:gone:already", 9)
    state = live_state(engine, billing)
    release(engine, billing)
    for urn in (INVOICE, "tools:gone:already"):
        billing.remove_tool(urn)
    billing.remove_resource("resources:gone:already")
    done = roll_back(engine, billing, 1, on_missing=on_missing)
    assert live_state(engine, billing) == state
    warned = " ".join(done.warnings)
    assert "tools:gone:already" in warned
    assert "resources:gone:already" in warned
    assert INVOICE not in warned
    assert done.current_release_number == 1


def test_rolling_back_only_the_deployment_warns_of_listed_tools_that_lose_their_provider(
    engine: Engine, scene: Scene
) -> None:
    done = roll_back(engine, scene.billing, 1, components=["deployment"])
    state = live_state(engine, scene.billing)
    assert state == {**scene.live, "deployment": scene.released["deployment"]}
    assert [warning for warning in done.warnings if VOID in warning]


def test_a_dry_run_of_recreate_says_what_it_would_provide_and_writes_nothing(engine: Engine, scene: Scene) -> None:
    before = whole_database(engine)
    planned = roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate", dry_run=True)
    assert whole_database(engine) == before
    done = roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="recreate")
    assert planned.changes == done.changes
    assert planned.warnings == done.warnings


def test_skip_and_recreate_make_a_backup_of_unreleased_edits(engine: Engine, scene: Scene) -> None:
    scene.billing.edit(name="Unreleased")
    edited = live_state(engine, scene.billing)
    done = roll_back(engine, scene.billing, 1, components=MEMBERS, on_missing="skip")
    assert done.backup_release_number == 3
    assert captured_state(engine, scene.billing, 3) == edited
    assert [row.kind for row in releases_of(engine, scene.billing)] == ["release", "release", "backup", "restored"]
