"""A rollback that would change what other toolsets serve names exactly those, and goes on only where it may."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine

from release_worker.errors import SharedStateImpact
from tests.support.billing import (
    INVOICE,
    LEDGER,
    REFUND,
    SUMMARY,
    TARIFF,
    a_full_toolset,
    active_deployment,
    edit_everything,
    edit_global_variations,
    edit_resources,
    edit_settings,
    edit_tools,
    edit_toolset_variations,
)
from tests.support.impact import impact
from tests.support.live_state import live_state
from tests.support.operations import release, roll_back
from tests.support.world import Toolset


@dataclass
class Street:
    """The example toolset, released once, and its neighbours."""

    billing: Toolset
    invoicing: Toolset  # of the same project, lists INVOICE and LEDGER
    summing: Toolset  # of the same project, lists SUMMARY
    bare: Toolset  # of the same project, lists nothing
    abroad: Toolset  # of another project of the organization, lists INVOICE
    rival: Toolset  # of another organization, a copy of billing


@pytest.fixture
def street(engine: Engine) -> Street:
    billing = a_full_toolset(engine)
    project = billing.project
    street = Street(
        billing=billing,
        invoicing=project.toolset("invoicing", tools=[INVOICE], resources=[LEDGER]),
        summing=project.toolset("summing", tools=[SUMMARY]),
        bare=project.toolset("bare"),
        abroad=project.organization.project("abroad").toolset("abroad", tools=[INVOICE]),
        rival=a_full_toolset(engine, organization="rival"),
    )
    project.toolset("deleted", tools=[INVOICE, REFUND, SUMMARY]).delete()
    release(engine, billing)
    return street


def edit_invoice_definition(street: Street) -> None:
    active_deployment(street.billing).edit_tool(INVOICE, definition={"method": "GET"})


def edit_refund_definition(street: Street) -> None:
    active_deployment(street.billing).edit_tool(REFUND, description="Described")


def edit_ledger_definition(street: Street) -> None:
    active_deployment(street.billing).edit_resource(LEDGER, definition={"uri": "ledger://some"})


def edit_tariff_definition(street: Street) -> None:
    active_deployment(street.billing).edit_resource(TARIFF, name="tariffs")


def deploy_nothing(street: Street) -> None:
    street.billing.project.deploy()


def edit_function_code(street: Street) -> None:
    active_deployment(street.billing).edit_asset("function", "billing", sha256="1" * 64)


def edit_package_code(street: Street) -> None:
    active_deployment(street.billing).edit_asset("package", "shared", sha256="1" * 64)


def edit_openapi_document(street: Street) -> None:
    active_deployment(street.billing).edit_asset("openapiv3", "bank", sha256="1" * 64)


def add_an_unlisted_definition(street: Street) -> None:
    active_deployment(street.billing).define_tool("tools:function:billing:new", {})


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (edit_invoice_definition, ["invoicing"]),
        (edit_refund_definition, []),
        (edit_ledger_definition, ["invoicing"]),
        (edit_tariff_definition, []),
        (deploy_nothing, ["invoicing"]),
        (edit_function_code, ["invoicing"]),
        (edit_package_code, []),
        (edit_openapi_document, []),
        (add_an_unlisted_definition, []),
    ],
)
def test_a_deployment_reaches_the_toolsets_of_the_project_that_list_what_changes(
    engine: Engine, street: Street, edit: Callable[[Street], None], named: list[str]
) -> None:
    edit(street)
    assert impact(engine, street.billing) == {f"acme/payments/{slug}": ["deployment"] for slug in named}


def test_the_system_configuration_reaches_every_toolset_of_the_project(engine: Engine, street: Street) -> None:
    street.billing.project.configure("model", "other")
    assert impact(engine, street.billing) == {
        "acme/payments/bare": ["system"],
        "acme/payments/invoicing": ["system"],
        "acme/payments/summing": ["system"],
    }


@pytest.mark.parametrize("change", ["edited", "deleted", "added"])
def test_a_prompt_reaches_every_toolset_of_the_project(engine: Engine, street: Street, change: str) -> None:
    match change:
        case "edited":
            street.billing.project.edit_prompt("greeting", prompt="Edited")
        case "deleted":
            street.billing.project.delete_prompt("greeting")
        case "added":
            street.billing.project.add_prompt("another")
    assert set(impact(engine, street.billing)) == {
        "acme/payments/bare",
        "acme/payments/invoicing",
        "acme/payments/summing",
    }


def test_a_prompt_that_is_a_tool_reaches_the_toolsets_that_list_it(engine: Engine, street: Street) -> None:
    street.billing.project.edit_prompt("summary", prompt="Edited")
    assert impact(engine, street.billing) == {"acme/payments/summing": ["system"]}


def test_a_prompt_with_an_empty_tool_urn_reaches_as_one_without_does(engine: Engine, street: Street) -> None:
    """An empty URN provides no tool, so it is a prompt that any toolset may offer."""
    street.billing.project.edit_prompt("greeting", tool_urn="")
    release(engine, street.billing)
    street.billing.project.edit_prompt("greeting", prompt="Edited")
    with pytest.raises(SharedStateImpact) as refused:
        roll_back(engine, street.billing, 2)
    assert [one["path"] for one in refused.value.details["toolsets"]] == [
        "acme/payments/bare",
        "acme/payments/invoicing",
        "acme/payments/summing",
    ]


def test_a_prompt_that_became_another_tool_reaches_those_that_list_either(engine: Engine, street: Street) -> None:
    street.billing.project.edit_prompt("summary", tool_urn=INVOICE)
    assert impact(engine, street.billing) == {
        "acme/payments/invoicing": ["system"],
        "acme/payments/summing": ["system"],
    }


def test_a_global_variation_reaches_the_toolsets_of_the_organization_that_list_its_tool(
    engine: Engine, street: Street
) -> None:
    street.billing.project.organization.vary(INVOICE, {"name": "bill"})
    assert impact(engine, street.billing) == {
        "acme/abroad/abroad": ["global_variations"],
        "acme/payments/invoicing": ["global_variations"],
    }


def test_a_global_variation_that_a_toolset_hides_with_its_own_does_not_reach_it(engine: Engine, street: Street) -> None:
    street.billing.project.organization.vary(INVOICE, {"name": "bill", "temperature": 0})
    street.invoicing.vary(INVOICE, {"name": "ours"})
    street.abroad.vary(INVOICE, {"description": "ours, but not the name"})
    assert impact(engine, street.billing) == {"acme/abroad/abroad": ["global_variations"]}


def test_a_new_global_variation_reaches_and_a_hidden_new_one_does_not(engine: Engine, street: Street) -> None:
    street.billing.project.organization.vary(SUMMARY, {"name": "sum"})
    assert impact(engine, street.billing) == {"acme/payments/summing": ["global_variations"]}
    street.summing.vary(SUMMARY, {"name": "ours", "more": 1})
    assert impact(engine, street.billing) == {}


def test_a_removed_global_variation_reaches_those_that_do_not_hide_it(engine: Engine, street: Street) -> None:
    street.billing.project.organization.unvary(INVOICE)
    street.invoicing.vary(INVOICE, {"name": "ours", "temperature": 3})
    assert impact(engine, street.billing) == {"acme/abroad/abroad": ["global_variations"]}


def test_all_components_that_reach_a_toolset_are_named_together(engine: Engine, street: Street) -> None:
    edit_invoice_definition(street)
    street.billing.project.configure("model", "other")
    street.billing.project.organization.vary(INVOICE, {"name": "bill"})
    assert impact(engine, street.billing) == {
        "acme/abroad/abroad": ["global_variations"],
        "acme/payments/bare": ["system"],
        "acme/payments/invoicing": ["deployment", "global_variations", "system"],
        "acme/payments/summing": ["system"],
    }


def test_only_the_chosen_components_count(engine: Engine, street: Street) -> None:
    edit_invoice_definition(street)
    street.billing.project.configure("model", "other")
    chosen = {
        name: set(impact(engine, street.billing, components=[name]))
        for name in ("deployment", "system", "tools", "global_variations")
    }
    assert chosen == {
        "deployment": {"acme/payments/invoicing"},
        "system": {"acme/payments/bare", "acme/payments/invoicing", "acme/payments/summing"},
        "tools": set(),
        "global_variations": set(),
    }


def test_what_belongs_to_the_toolset_alone_reaches_no_other(engine: Engine, street: Street) -> None:
    for edit in (edit_tools, edit_resources, edit_settings, edit_toolset_variations):
        edit(street.billing)
    assert impact(engine, street.billing) == {}


def test_shared_state_that_is_the_same_already_reaches_no_one(engine: Engine, street: Street) -> None:
    edit_settings(street.billing)
    assert impact(engine, street.billing) == {}
    assert roll_back(engine, street.billing, 1).warnings == ()


def test_a_toolset_is_named_by_id_and_path(engine: Engine, street: Street) -> None:
    edit_invoice_definition(street)
    with pytest.raises(SharedStateImpact) as refused:
        roll_back(engine, street.billing, 1)
    assert refused.value.details == {
        "toolsets": [{"id": str(street.invoicing.id), "path": "acme/payments/invoicing", "components": ["deployment"]}]
    }


def test_where_shared_impact_is_allowed_the_rollback_goes_on_and_warns(engine: Engine, street: Street) -> None:
    original = live_state(engine, street.billing)
    edit_everything(street.billing)
    done = roll_back(engine, street.billing, 1, allow_shared_impact=True)
    assert live_state(engine, street.billing) == original
    for path in ("acme/abroad/abroad", "acme/payments/bare", "acme/payments/invoicing", "acme/payments/summing"):
        assert [warning for warning in done.warnings if path in warning]


def test_a_rollback_leaves_other_projects_and_organizations_alone(engine: Engine, street: Street) -> None:
    abroad, rival = street.abroad, street.rival
    abroad.project.configure("model", "theirs")
    abroad.project.deploy(tools={INVOICE: {"theirs": True}})
    edit_everything(street.billing)
    edit_everything(rival)
    states = {toolset.path: live_state(engine, toolset) for toolset in (abroad, rival)}
    done = roll_back(engine, street.billing, 1, allow_shared_impact=True)
    assert not [warning for warning in done.warnings if "rival/" in warning]
    after = {toolset.path: live_state(engine, toolset) for toolset in (abroad, rival)}
    assert after["rival/payments/billing"] == states["rival/payments/billing"]
    # Global variations belong to the organization; everything else of the other project is as it was.
    assert after["acme/abroad/abroad"] | {"global_variations": None} == states["acme/abroad/abroad"] | {
        "global_variations": None
    }
    assert after["acme/abroad/abroad"]["global_variations"] == live_state(engine, street.billing)["global_variations"]


def test_toolset_variations_of_others_are_left_alone(engine: Engine, street: Street) -> None:
    street.invoicing.vary(REFUND, {"theirs": True})
    edit_toolset_variations(street.billing)
    before = live_state(engine, street.invoicing)
    roll_back(engine, street.billing, 1)
    assert live_state(engine, street.invoicing) == before


def test_a_toolset_of_another_project_that_names_this_one_as_its_parent_is_guarded(engine: Engine) -> None:
    """It is no staged copy: those are in the project of their parent."""
    billing = a_full_toolset(engine)
    release(engine, billing)
    theirs = billing.project.organization.project("other").toolset("theirs", tools=[INVOICE])
    theirs.edit(parent_toolset_id=billing.id)
    edit_global_variations(billing)
    with pytest.raises(SharedStateImpact, match="acme/other/theirs"):
        roll_back(engine, billing, 1)
