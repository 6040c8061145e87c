"""Equal content is stored once for each owner: a release refers to what is its own, whoever has the same."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.subject import Scope
from tests.support.operations import release
from tests.support.plug_ins import Flags, create_flags_table, with_plug_ins
from tests.support.records import release_of
from tests.support.world import Toolset, World

CONFIG = {"description": "the same"}

Neighbours = tuple[Toolset, Toolset]


def two_toolsets(engine: Engine) -> Neighbours:
    """Of one project."""
    project = World(engine).organization("acme").project("p")
    return project.toolset("a"), project.toolset("b")


def two_projects(engine: Engine) -> Neighbours:
    """A toolset each; of one organization."""
    acme = World(engine).organization("acme")
    return acme.project("p").toolset("a"), acme.project("q").toolset("a")


def two_organizations(engine: Engine) -> Neighbours:
    """A toolset each."""
    world = World(engine)
    return world.organization("acme").project("p").toolset("a"), world.organization("rival").project("p").toolset("a")


def owner_of(toolset: Toolset, scope: Scope) -> object:
    project = toolset.project
    return {"toolset": toolset.id, "project": project.id, "organization": project.organization.id}[scope]


def release_twice(engine: Engine, neighbours: Neighbours) -> None:
    """Each of them, and each again when the other has its release."""
    for toolset in (*neighbours, *neighbours):
        release(engine, toolset)


@pytest.mark.parametrize("pair", [two_projects, two_organizations])
def test_a_source_state_is_that_of_the_project(engine: Engine, pair: Callable[[Engine], Neighbours]) -> None:
    neighbours = pair(engine)
    for toolset in neighbours:
        toolset.project.deploy(tools={"tools:f:s:a": {}})
    release_twice(engine, neighbours)
    query = text("SELECT project_id, digest FROM source_states WHERE id = :id")
    digests = set()
    for toolset in neighbours:
        for number in (1, 2):
            with engine.connect() as connection:
                state = connection.execute(query, {"id": release_of(engine, toolset, number).source_state_id}).one()
            assert state.project_id == toolset.project.id
            digests.add(state.digest)
    assert len(digests) == 1


def variations(engine: Engine, toolset: Toolset, number: int, name: str) -> tuple[object, ...]:
    """Scope, owners and version of the variations that a release holds."""
    query = text("SELECT scope, organization_id, toolset_id, version FROM variation_versions WHERE id = :id")
    version = getattr(release_of(engine, toolset, number), f"{name}_variations_version_id")
    with engine.connect() as connection:
        return tuple(connection.execute(query, {"id": version}).one())


@pytest.mark.parametrize("pair", [two_toolsets, two_projects, two_organizations])
def test_a_variations_version_is_that_of_the_scope(engine: Engine, pair: Callable[[Engine], Neighbours]) -> None:
    """All hold the same: both organizations, and both toolsets as their own."""
    neighbours = pair(engine)
    for toolset in neighbours:
        toolset.project.organization.vary("tools:x", CONFIG)
        toolset.vary("tools:x", CONFIG)
    release_twice(engine, neighbours)
    for toolset in neighbours:
        organization = toolset.project.organization.id
        for number in (1, 2):
            assert variations(engine, toolset, number, "global") == ("global", organization, None, 1)
            assert variations(engine, toolset, number, "toolset") == ("toolset", organization, toolset.id, 1)


@pytest.mark.parametrize(
    ("scope", "pair"),
    [("toolset", two_toolsets), ("project", two_projects), ("organization", two_organizations)],
)
def test_a_plug_ins_content_is_that_of_the_owner_and_of_the_plug_in(
    engine: Engine, scope: Scope, pair: Callable[[Engine], Neighbours]
) -> None:
    """Two plug-ins, both with the same content for both owners."""
    create_flags_table(engine)
    registry = with_plug_ins(Flags(scope=scope), Flags(name="switches", scope=scope))
    neighbours = pair(engine)
    with engine.begin() as connection:
        for toolset in neighbours:
            insert = text("INSERT INTO flags VALUES (:owner, 'dark', 'true')")
            connection.execute(insert, {"owner": owner_of(toolset, scope)})
    for toolset in (*neighbours, *neighbours):
        release(engine, toolset, registry=registry)
    query = text("""
        SELECT c.component, s.component, s.scope_id FROM release_components c
        JOIN component_states s ON s.id = c.component_state_id WHERE c.release_id = :id ORDER BY c.component
    """)
    for toolset in neighbours:
        owner = owner_of(toolset, scope)
        for number in (1, 2):
            with engine.connect() as connection:
                held = connection.execute(query, {"id": release_of(engine, toolset, number).id}).all()
            assert [tuple(row) for row in held] == [("flags", "flags", owner), ("switches", "switches", owner)]
