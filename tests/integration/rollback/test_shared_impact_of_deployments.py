"""What of a deployment reaches another toolset: what provides, and what runs or is configured behind what is listed."""

from typing import Any

import pytest
from sqlalchemy import Engine

from tests.support.billing import active_deployment
from tests.support.impact import impact
from tests.support.operations import release
from tests.support.world import AssetKind, Project, Toolset, World

TOOL, RESOURCE = "tools:function:shop:pay", "resources:function:shop:price"
LISTS: dict[str, dict[str, list[str]]] = {
    "by-tool": {"tools": [TOOL]},
    "by-resource": {"resources": [RESOURCE]},
    "by-undefined-tool": {"tools": ["tools:function:shop:undefined"]},
    "by-undefined-resource": {"resources": ["resources:function:shop:undefined"]},
    "by-prompt": {"tools": ["tools:prompt:greeting"]},
    "by-another-source": {"tools": ["tools:function:shopping:pay"], "resources": ["resources:function"]},
    "bare": {},
}


@pytest.fixture
def project(engine: Engine) -> Project:
    """With a deployment of TOOL and RESOURCE, and toolsets that list these and others."""
    project = World(engine).organization("acme").project("payments")
    project.deploy(
        tools={TOOL: {}},
        resources={RESOURCE: {}},
        assets={(kind, "shop"): {"version": 1} for kind in ("function", "package", "openapiv3")},
    )
    project.add_prompt("greeting", tool_urn="tools:prompt:greeting")
    for slug, lists in LISTS.items():
        project.toolset(slug, **lists)
    project.organization.project("abroad").toolset("by-tool", tools=[TOOL])
    return project


@pytest.fixture
def rolled_back(engine: Engine, project: Project) -> Toolset:
    """A toolset that lists nothing, released once."""
    toolset = project.toolset("rolled-back")
    release(engine, toolset)
    return toolset


def reached(engine: Engine, toolset: Toolset) -> set[str]:
    """The slugs of those that a rollback of the toolset would reach through the deployment, and by nothing else."""
    found = impact(engine, toolset)
    assert all(components == ["deployment"] for components in found.values())
    assert all(path.startswith("acme/payments/") for path in found)
    return {path.rpartition("/")[2] for path in found}


def test_a_status_reaches_those_that_list_what_the_deployment_provides(engine: Engine, rolled_back: Toolset) -> None:
    deployment = active_deployment(rolled_back)
    deployment.rows.update("deployments", {"id": deployment.id}, status="failed")
    assert reached(engine, rolled_back) == {"by-tool", "by-resource"}


def test_a_status_reaches_those_that_list_what_only_one_of_two_deployments_provides(
    engine: Engine, project: Project, rolled_back: Toolset
) -> None:
    before = active_deployment(rolled_back)
    before.rows.update("deployments", {"id": before.id}, status="failed")
    active_deployment(rolled_back).remove_tool(TOOL)
    active_deployment(rolled_back).define_tool("tools:function:shopping:pay", {})
    assert reached(engine, rolled_back) == {"by-tool", "by-resource", "by-another-source"}


def test_a_deployment_that_comes_or_goes_reaches_those_that_list_what_it_provides_or_runs(
    engine: Engine, project: Project
) -> None:
    behind = {"by-tool", "by-resource", "by-undefined-tool", "by-undefined-resource"}
    provides = active_deployment(project.toolset("any"))
    project.activate(None)
    without = project.toolset("without")
    release(engine, without)
    project.activate(provides)
    assert reached(engine, without) == behind
    with_it = project.toolset("with")
    release(engine, with_it)
    project.activate(None)
    assert reached(engine, with_it) == behind


def test_an_empty_deployment_that_goes_away_reaches_no_one(engine: Engine, project: Project) -> None:
    project.activate(None)
    without = project.toolset("without")
    release(engine, without)
    project.deploy()
    assert reached(engine, without) == set()


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        *[(kind, {"name": "N"}) for kind in ("function", "package")],
        *[(kind, {"sha256": "1" * 64}) for kind in ("function", "package")],
        *[(kind, {"config": {"version": 2}}) for kind in ("function", "package", "openapiv3")],
    ],
)
def test_an_asset_reaches_those_that_list_a_tool_or_a_resource_of_its_slug(
    engine: Engine, rolled_back: Toolset, kind: AssetKind, columns: dict[str, Any]
) -> None:
    active_deployment(rolled_back).edit_asset(kind, "shop", **columns)
    assert reached(engine, rolled_back) == {"by-tool", "by-resource", "by-undefined-tool", "by-undefined-resource"}


def test_the_name_and_the_checksum_of_a_document_reach_no_one(engine: Engine, rolled_back: Toolset) -> None:
    active_deployment(rolled_back).edit_asset("openapiv3", "shop", name="N", sha256="1" * 64)
    assert reached(engine, rolled_back) == set()


@pytest.mark.parametrize("config", [{"version": 2}, None])
def test_a_document_reaches_when_it_comes_and_when_it_goes(engine: Engine, rolled_back: Toolset, config: Any) -> None:
    """A configuration that is the JSON value null is one."""
    behind = {"by-tool", "by-resource", "by-undefined-tool", "by-undefined-resource"}
    active_deployment(rolled_back).detach("openapiv3", "shop")
    assert reached(engine, rolled_back) == behind
    other = rolled_back.project.toolset("other")
    release(engine, other)
    active_deployment(rolled_back).attach("openapiv3", "shop", config)
    assert reached(engine, other) == behind


OF_SLUGS: dict[str, set[str]] = {
    "shop": {"eu", "eu-card"},
    "shop:eu": {"eu", "eu-card"},
    "shop:eu:card": {"eu-card"},
    "shop:us": set(),
    "shop:e": set(),
    "eu": set(),
    "shop/eu": {"slash"},
    "%": set(),
    "": {"empty"},
}


@pytest.mark.parametrize("kind", ["tools", "resources"])
@pytest.mark.parametrize("asset", ["function", "openapiv3"])
def test_a_slug_may_hold_colons(engine: Engine, kind: str, asset: AssetKind) -> None:
    project = World(engine).organization("acme").project("payments")
    deployment = project.deploy(assets={(asset, slug): 1 for slug in OF_SLUGS})
    project.toolset("eu", **{kind: [f"{kind}:function:shop:eu"]})
    project.toolset("eu-card", **{kind: [f"{kind}:function:shop:eu:card"]})
    project.toolset("slash", **{kind: [f"{kind}:function:shop/eu:card"]})
    project.toolset("empty", **{kind: [f"{kind}:function:"]})
    project.toolset("too-short", **{kind: ["shop", "eu:shop"]})
    toolset = project.toolset("rolled-back")
    release(engine, toolset)
    found = {}
    for slug in OF_SLUGS:
        deployment.edit_asset(asset, slug, config=2)
        found[slug] = reached(engine, toolset)
        deployment.edit_asset(asset, slug, config=1)
    assert found == OF_SLUGS
