"""Edits through the client: what each comes to, what it refuses, and what it tells."""

import re
import time
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.client import patience
from release_worker.errors import (
    Frozen,
    InvalidRequest,
    NameTaken,
    OwnerNotFound,
    ToolsetNotFound,
    VersionConflict,
)
from tests.support.billing import (
    INVOICE,
    LEDGER,
    REFUND,
    SUMMARY,
    TARIFF,
    a_full_toolset,
    edit_global_variations,
    edit_settings,
    edit_system,
    edit_toolset_variations,
)
from tests.support.exact_json import exact
from tests.support.freezes import freeze, unfreeze
from tests.support.live_state import live_state
from tests.support.operations import release, roll_back
from tests.support.round_trips import round_trips
from tests.support.staging import stage
from tests.support.world import Toolset

BILLING = "acme/payments/billing"
VOID = "tools:function:billing:void"


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def edit_like_an_app(client: ReleaseClient, path: str) -> None:
    """What `edit_settings`, `edit_system` and the two of variations do with SQL, and no more."""
    client.edit_toolset(
        path,
        name="Billing 2",
        description="",
        set_settings={"timeout": 31, "beta": True},
        remove_settings=["tags"],
        set_config={"model": {"name": "small", "temperature": 1}, "region": "eu"},
        remove_config=["limits"],
        set_prompts={
            "summary": {"prompt": "Sum up, briefly.", "arguments": {"length": {"type": "integer"}}},
            "farewell": {"prompt": "This is farewell.", "engine": "jinja"},
        },
        remove_prompts=["greeting"],
        set_variations={INVOICE: {"description": "Ours"}},
        remove_variations=[REFUND],
        set_global_variations={INVOICE: {"name": "bill"}, REFUND: {"temperature": 2}},
    )


def test_an_edit_comes_to_what_the_sql_of_an_app_comes_to(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    other = a_full_toolset(engine, organization="other")
    for edit in (edit_settings, edit_system, edit_global_variations, edit_toolset_variations):
        edit(other)

    edit_like_an_app(client, BILLING)

    assert live_state(engine, billing) == live_state(engine, other)


def test_an_edit_is_undone_by_a_rollback_and_comes_back_by_another(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    before = live_state(engine, billing)
    release(engine, billing)
    edit_like_an_app(client, BILLING)
    client.edit_toolset(BILLING, remove_tools=[REFUND], deploy=[{"urn": INVOICE, "method": "GET"}])
    edited = live_state(engine, billing)
    release(engine, billing)

    roll_back(engine, billing, 1)
    assert live_state(engine, billing) == before
    roll_back(engine, billing, 2)
    assert live_state(engine, billing) == edited


def test_what_is_added_stands_at_the_end_and_what_is_removed_leaves_the_rest_in_place(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    done = client.edit_toolset(
        BILLING,
        add_tools=[VOID, INVOICE],
        remove_tools=[REFUND],
        add_resources=["resources:x"],
        remove_resources=[LEDGER],
    )
    state = live_state(engine, billing)
    assert state["tools"] == {INVOICE: 0, SUMMARY: 2, VOID: 3}
    assert state["resources"] == {TARIFF: 1, "resources:x": 2}
    assert (done.changes["tools"].added, done.changes["tools"].removed) == ((VOID,), (REFUND,))
    assert done.warnings == (
        f"nothing provides {VOID}, which the toolset lists",
        "nothing provides resources:x, which the toolset lists",
    )


def test_an_order_says_which_come_first(client: ReleaseClient, engine: Engine, billing: Toolset) -> None:
    done = client.edit_toolset(BILLING, add_tools=[VOID], tool_order=[SUMMARY, VOID], resource_order=[TARIFF])
    state = live_state(engine, billing)
    assert state["tools"] == {SUMMARY: 0, VOID: 1, INVOICE: 2, REFUND: 3}
    assert state["resources"] == {TARIFF: 0, LEDGER: 1}
    assert set(done.changes["resources"].moved) == {TARIFF, LEDGER}


def test_an_order_of_what_is_not_listed_changes_nothing(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    before = live_state(engine, billing)
    with pytest.raises(
        InvalidRequest, match=r"tool_order: tools:x is not listed, so that it has no place [(]and 1 more"
    ):
        client.edit_toolset(BILLING, name="New", tool_order=[INVOICE, "tools:x", VOID])
    assert live_state(engine, billing) == before


def test_behind_the_last_position_there_is_still_room(client: ReleaseClient, engine: Engine, billing: Toolset) -> None:
    billing.move_tool(INVOICE, 2**31 - 1)
    client.edit_toolset(BILLING, add_tools=[VOID])
    assert sorted(live_state(engine, billing)["tools"].items(), key=lambda one: one[1])[-2:] == [
        (INVOICE, 2),
        (VOID, 3),
    ]


def test_what_is_so_already_is_not_written(client: ReleaseClient, engine: Engine, billing: Toolset) -> None:
    def rows() -> list[Any]:
        tables = (
            "toolsets",
            "toolset_tools",
            "system_configs",
            "prompt_templates",
            "variations",
            "projects",
            "deployments",
        )
        with engine.connect() as connection:
            return [connection.execute(text(f"SELECT xmin, ctid FROM {table} ORDER BY ctid")).all() for table in tables]

    content = {
        "tools": [{"urn": INVOICE, "definition": {"retries": 3}}],
        "assets": [{"kind": "function", "slug": "billing"}],
    }
    client.edit_toolset(BILLING, deploy=content)
    before = rows()
    done = client.edit_toolset(
        BILLING,
        name="Billing",
        slug="billing",
        add_tools=[INVOICE],
        set_settings={"timeout": 30.0},
        set_config={"limits": [10, 20]},
        set_prompts={"greeting": "Hello {{name}}"},
        set_variations={REFUND: {"description": "Pay money back"}},
        set_global_variations={INVOICE: {"name": "make_invoice", "temperature": 0}},
        deploy=content,
    )
    assert (dict(done.changes), rows()) == ({}, before)


def test_what_was_not_there_is_told_and_no_error(client: ReleaseClient, billing: Toolset) -> None:
    done = client.edit_toolset(
        BILLING, remove_tools=[VOID], remove_config=["x"], remove_prompts=["x"], remove_variations=["x"]
    )
    assert dict(done.changes) == {}
    assert set(done.warnings) == {
        f"tool {VOID} was not listed",
        "configuration x was not there",
        "prompt x was not there",
        "variation x was not there",
    }


def test_without_variations_there_is_no_content_of_them(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    client.edit_toolset(BILLING, remove_variations=[REFUND], remove_global_variations=[INVOICE])
    release(engine, billing)
    with engine.connect() as connection:
        held = connection.execute(
            text("SELECT global_variations_version_id, toolset_variations_version_id FROM toolset_releases")
        ).one()
    assert tuple(held) == (None, None)


def test_a_prompt_keeps_what_is_not_given_and_loses_what_is_none(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    client.edit_project("acme/payments", set_prompts={"summary": "Shorter."})
    summary = live_state(engine, billing)["system"]["prompts"]["summary"]
    assert (summary["prompt"], summary["tool_urn"], summary["description"]) == ("Shorter.", SUMMARY, "Sums up")
    client.edit_project(
        "acme/payments",
        set_prompts={"summary": {"description": None}, "greeting": {"arguments": None}},
    )
    prompts = live_state(engine, billing)["system"]["prompts"]
    assert (prompts["summary"]["description"], prompts["greeting"]["arguments"]) == (None, None)


def test_a_prompt_that_was_deleted_comes_back_as_the_same_row(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    query = text("SELECT id FROM prompt_templates WHERE name = 'greeting'")
    client.edit_project("acme/payments", remove_prompts=["greeting"])
    client.edit_project("acme/payments", set_prompts={"greeting": "Hi"})
    with engine.connect() as connection:
        assert len(connection.execute(query).all()) == 1


def test_a_catalogue_is_a_new_deployment_that_provides_it_and_nothing_else(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    before = billing.project.active()
    done = client.edit_toolset(
        BILLING,
        deploy={
            "tools": [
                {"urn": INVOICE, "name": "bill", "description": "Bills", "definition": {"n": 12345678901234567890}},
                {"urn": VOID, "method": "DELETE", "path": "/invoices/{id}"},
            ],
            "assets": [{"kind": "function", "slug": "billing", "sha256": "0" * 64, "config": {"runtime": "x"}}],
        },
    )
    after = billing.project.active()
    assert before is not None
    assert after is not None
    assert before.id != after.id
    deployment = live_state(engine, billing)["deployment"]
    assert (deployment["status"], list(deployment["resources"])) == ("completed", [])
    assert deployment["tools"][INVOICE] == {
        "name": "bill",
        "description": "Bills",
        "definition": exact({"n": 12345678901234567890}),
    }
    assert deployment["tools"][VOID] == {
        "name": "void",
        "description": None,
        "definition": exact({"method": "DELETE", "path": "/invoices/{id}"}),
    }
    with engine.connect() as connection:
        lineage = connection.execute(text("SELECT cloned_from FROM deployments WHERE id = :id"), {"id": after.id})
        assert lineage.scalar_one() == before.id
    assert f"nothing provides {REFUND}, which the toolset lists" in done.warnings


def test_a_first_catalogue_needs_no_deployment_before_it(client: ReleaseClient, engine: Engine) -> None:
    client.add_organization("new")
    client.add_project("new/p")
    client.add_toolset("new/p/t")
    done = client.edit_toolset("new/p/t", deploy=[{"urn": INVOICE}], add_tools=[INVOICE])
    assert done.warnings == ()
    shown = client.show_project("new/p").deployment
    assert shown is not None
    assert (shown.status, shown.tools) == ("completed", 1)


def test_whom_an_edit_of_shared_state_reaches_is_told(client: ReleaseClient, billing: Toolset) -> None:
    billing.project.toolset("other", tools=[INVOICE])
    done = client.edit_toolset(BILLING, deploy=[{"urn": INVOICE}], set_global_variations={INVOICE: {"name": "x"}})
    assert "changes what acme/payments/other serves: deployment, global_variations" in done.warnings
    of_project = client.edit_project("acme/payments", set_config={"model": 1})
    assert set(of_project.warnings) == {
        "changes what acme/payments/billing serves: system",
        "changes what acme/payments/other serves: system",
    }
    of_organization = client.edit_organization("acme", set_variations={INVOICE: {"name": "y"}})
    assert len(of_organization.warnings) == 2


def test_of_many_who_are_reached_some_are_named(client: ReleaseClient, billing: Toolset) -> None:
    for number in range(12):
        billing.project.toolset(f"t{number}")
    warnings = client.edit_toolset(BILLING, set_config={"model": 1}).warnings
    assert (len(warnings), warnings[-1]) == (11, "changes what 2 more toolsets serve")


def test_a_toolset_a_project_and_an_organization_are_renamed(client: ReleaseClient, billing: Toolset) -> None:
    assert client.edit_toolset(BILLING, slug="bills", name="Bills").path == "acme/payments/bills"
    assert client.edit_project("acme/payments", slug="pay", name="Pay").path == "acme/pay"
    assert client.edit_organization("acme", slug="ajax", name="Ajax").path == "ajax"
    shown = client.show_toolset("ajax/pay/bills")
    assert (shown.id, shown.name) == (billing.id, "Bills")
    assert client.show_project("ajax/pay").name == "Pay"
    assert client.show_organization("ajax").name == "Ajax"


def test_a_name_that_another_has_is_refused_with_the_whole_edit(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    billing.project.toolset("other")
    billing.project.organization.project("else")
    client.add_organization("others")
    before = live_state(engine, billing)
    with pytest.raises(NameTaken, match="toolset acme/payments/other is there already"):
        client.edit_toolset(BILLING, slug="other", name="New", set_config={"x": 1})
    with pytest.raises(NameTaken, match="project acme/else is there already"):
        client.edit_project("acme/payments", slug="else", set_config={"x": 1})
    with pytest.raises(NameTaken, match="organization others is there already"):
        client.edit_organization("acme", slug="others", set_variations={INVOICE: 1})
    assert live_state(engine, billing) == before


def too_deep() -> Any:
    value: Any = 1
    for _ in range(198):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "nothing is to be edited"),
        ({"slug": "a/b"}, "slug"),
        ({"name": ""}, "name"),
        ({"add_tools": ["a b"]}, "white space"),
        ({"add_tools": ["\ud800"]}, "add_tools"),
        ({"add_tools": "tools:x"}, "add_tools"),
        ({"add_tools": ["x", "x"]}, "twice"),
        ({"add_tools": ["x"], "remove_tools": ["x"]}, "x is both in add_tools and in remove_tools"),
        ({"set_config": {"k": 1}, "remove_config": ["k"]}, "k is both"),
        ({"tool_order": [INVOICE, INVOICE]}, "twice"),
        ({"set_config": {"k": too_deep()}}, "197 levels deep"),
        ({"set_config": {"k": "\0"}}, "U[+]0000"),
        ({"set_config": {"": 1}}, "set_config"),
        ({"set_config": {"k": float("inf")}}, "JSON"),
        ({"set_config": {"k": Decimal("1e999999999")}}, "more than 10000 digits"),
        ({"set_config": {"k": [Decimal("1e-999999999")]}}, "more than 10000 digits"),
        ({"set_variations": {"u": {1: 2}}}, "JSON"),
        ({"set_prompts": {"new": {"engine": "jinja"}}}, "set_prompts.new: is new, and has no text"),
        ({"set_prompts": {"p": {"prompt": "x", "kind": "nonsense"}}}, "kind"),
        ({"set_prompts": {"p": {"text": "x"}}}, "text"),
        ({"set_prompts": {"p": "\ud800"}}, "prompt"),
        ({"deploy": [{"name": "x"}]}, "urn"),
        ({"deploy": [{"urn": "x"}, {"urn": "x"}]}, "x is there twice"),
        ({"deploy": "tools"}, "deploy"),
        ({"deploy": {"nonsense": []}}, "nonsense"),
        ({"deploy": {"assets": [{"kind": "nonsense", "slug": "s"}]}}, "kind"),
        ({"deploy": [{"urn": "x", "definition": too_deep()}]}, "197 levels deep"),
    ],
)
def test_what_could_not_be_stored_or_released_is_refused_in_one_line(
    client: ReleaseClient, engine: Engine, billing: Toolset, fields: dict[str, Any], told: str
) -> None:
    before = live_state(engine, billing)
    with pytest.raises(InvalidRequest) as refused:
        client.edit_toolset(BILLING, **fields)
    assert re.search(told, str(refused.value)), refused.value
    assert "\n" not in str(refused.value)
    assert live_state(engine, billing) == before


def test_what_is_as_deep_as_it_may_be_can_be_released(client: ReleaseClient, engine: Engine, billing: Toolset) -> None:
    deepest = too_deep()[0]
    client.edit_toolset(
        BILLING,
        set_settings={"k": deepest},
        set_config={"k": deepest},
        set_variations={INVOICE: deepest},
        deploy=[{"urn": INVOICE, "definition": deepest}],
    )
    release(engine, billing)


def test_settings_that_are_no_object_have_no_keys(client: ReleaseClient, billing: Toolset) -> None:
    billing.edit(settings=[1])
    with pytest.raises(InvalidRequest, match="no JSON object"):
        client.edit_toolset(BILLING, set_settings={"a": 1})


def test_what_is_not_there_is_said(client: ReleaseClient, billing: Toolset) -> None:
    client.add_organization("other")
    with pytest.raises(ToolsetNotFound):
        client.edit_toolset("acme/payments/nothing", name="x")
    with pytest.raises(ToolsetNotFound):
        client.edit_toolset(BILLING, name="x", organization="other")
    with pytest.raises(OwnerNotFound):
        client.edit_project("acme/nothing", name="x")
    with pytest.raises(OwnerNotFound):
        client.edit_project("acme/payments", name="x", organization="other")
    with pytest.raises(OwnerNotFound):
        client.edit_organization("nobody", name="x")


def test_a_freeze_holds_edits_off_unless_a_reason_is_given(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    freeze(billing.project.organization)
    before = live_state(engine, billing)
    with pytest.raises(Frozen):
        client.edit_toolset(BILLING, name="x")
    with pytest.raises(Frozen):
        client.edit_project("acme/payments", set_config={"x": 1})
    with pytest.raises(Frozen):
        client.edit_organization("acme", set_variations={INVOICE: 1})
    assert live_state(engine, billing) == before
    client.edit_toolset(BILLING, name="x", override_freeze="provider down")
    assert live_state(engine, billing)["settings"]["name"] == "x"


def test_a_freeze_of_any_project_holds_off_what_its_whole_organization_shares(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    elsewhere = billing.project.organization.project("shop")
    frozen = freeze(elsewhere)
    before = live_state(engine, billing)
    with pytest.raises(Frozen, match="acme/shop is frozen until"):
        client.edit_organization("acme", set_variations={INVOICE: 1})
    with pytest.raises(Frozen, match="acme/shop is frozen until"):
        client.edit_toolset(BILLING, set_global_variations={INVOICE: 1})
    assert live_state(engine, billing) == before
    client.edit_organization("acme", name="Acme Inc.")  # no toolset serves it
    client.edit_toolset(BILLING, name="x")
    client.edit_organization("acme", set_variations={INVOICE: 1}, override_freeze="provider down")
    client.edit_toolset(BILLING, remove_global_variations=[INVOICE], override_freeze="provider down")
    unfreeze(elsewhere, frozen)
    client.edit_organization("acme", set_variations={INVOICE: 2})


def test_a_staged_copy_is_edited_during_a_freeze_but_nothing_that_it_shares(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    copy = stage(engine, billing)
    freeze(billing.project)
    client.edit_toolset(str(copy.id), remove_tools=[REFUND])
    with pytest.raises(Frozen):
        client.edit_toolset(str(copy.id), set_config={"x": 1})


def test_a_secret_is_not_told(client: ReleaseClient, billing: Toolset) -> None:
    client.edit_project("acme/payments", set_config={"api_key": "old s3cret", "db": {"password": "old s3cret"}})
    done = client.edit_project("acme/payments", set_config={"api_key": "new s3cret", "db": {"password": "s3cret"}})
    assert len(done.changes["system"].changed) == 2
    assert "s3cret" not in str(done)


def test_an_edit_joins_the_transaction_of_its_caller(client: ReleaseClient, engine: Engine, billing: Toolset) -> None:
    before = live_state(engine, billing)
    with Session(engine) as session:
        client.edit_toolset(BILLING, name="x", add_tools=[VOID], session=session)
        session.rollback()
    assert live_state(engine, billing) == before
    with Session(engine) as session, session.begin():
        client.edit_toolset(BILLING, name="x", set_config={"k": 1}, session=session)
    assert live_state(engine, billing)["settings"]["name"] == "x"


def test_an_edit_finds_rows_that_others_hold_and_says_so_or_comes_again_until_they_are_free(
    client: ReleaseClient, engine: Engine, billing: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine.connect() as other, Session(engine) as session:
        other.execute(text("SELECT FROM toolset_tools FOR UPDATE"))
        with pytest.raises(VersionConflict, match="toolset_tools"):
            client.edit_toolset(BILLING, add_tools=[VOID], session=session)
        session.rollback()
        monkeypatch.setattr(time, "sleep", lambda _seconds: other.rollback())
        client.edit_toolset(BILLING, add_tools=[VOID])
    assert VOID in live_state(engine, billing)["tools"]


def test_an_edit_that_finds_them_held_again_and_again_gives_up(
    client: ReleaseClient, engine: Engine, billing: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    with engine.connect() as other:
        other.execute(text("SELECT FROM toolset_tools FOR UPDATE"))
        with pytest.raises(VersionConflict, match="toolset_tools"):
            client.edit_toolset(BILLING, add_tools=[VOID])
    assert len(pauses) == patience.TRIES - 1


AROUND = 4  # begin, hold, is it frozen, commit
EXPECTED: dict[str, tuple[int, dict[str, Any]]] = {
    # hold the rows, read, compare, restore and what is provided
    "a list": (AROUND + 4, {"add_tools": [VOID]}),
    # hold, read, compare, restore
    "a name": (AROUND + 4, {"name": "x"}),
    # hold the rows, read, compare, whom it reaches, restore by seven statements and what is provided
    "a configuration": (AROUND + 5, {"set_config": {"k": 1}}),
    # hold the rows, read, compare
    "nothing new": (AROUND + 3, {"add_tools": [INVOICE]}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_how_often_an_edit_waits_for_postgresql(
    client: ReleaseClient, engine: Engine, billing: Toolset, name: str
) -> None:
    expected, fields = EXPECTED[name]
    client.show_toolset(BILLING)  # the first use of a connection costs more
    with round_trips(client._engine()) as counted:
        client.edit_toolset(BILLING, **fields)
    assert counted.number == expected
