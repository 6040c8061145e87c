"""API documents that become tools: once, again, edited, beside others, and what is refused."""

from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.errors import (
    Frozen,
    InvalidRequest,
    OwnerNotFound,
    ToolsetNotFound,
)
from tests.support.billing import INVOICE, REFUND, SUMMARY, a_full_toolset
from tests.support.freezes import freeze
from tests.support.live_state import live_state
from tests.support.openapi import PETSTORE, github, minimal, petstore
from tests.support.operations import release, roll_back
from tests.support.round_trips import round_trips
from tests.support.world import Toolset, World

BILLING = "acme/payments/billing"
PETS = "tools:http:pet-store:"
LIST, CREATE, GET, DELETE = (f"{PETS}{name}" for name in ("listPets", "createPet", "pets_get_one", "delete_pets_petId"))


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return [
            connection.execute(text(f"SELECT xmin, ctid FROM {table} ORDER BY ctid")).all()
            for table in ("toolsets", "toolset_tools", "deployments", "tool_definitions", "projects", "organizations")
        ]


def test_a_document_is_deployed_beside_what_is_there_and_its_tools_are_listed(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    before = live_state(engine, billing)

    done = client.import_openapi(BILLING, PETSTORE)

    state = live_state(engine, billing)
    assert state["tools"] == {INVOICE: 0, REFUND: 1, SUMMARY: 2, LIST: 3, CREATE: 4, GET: 5, DELETE: 6}
    assert state["deployment"]["tools"].items() > before["deployment"]["tools"].items()
    assert state["deployment"]["resources"] == before["deployment"]["resources"]
    assert set(state["deployment"]["assets"]) - set(before["deployment"]["assets"]) == {"openapiv3/pet-store"}
    assert {name: state[name] for name in ("system", "settings", "resources")} == {
        name: before[name] for name in ("system", "settings", "resources")
    }
    assert (done.path, done.warnings, set(done.changes)) == (BILLING, (), {"deployment", "tools"})


def test_the_same_document_again_changes_nothing(client: ReleaseClient, engine: Engine, billing: Toolset) -> None:
    client.import_openapi(BILLING, PETSTORE)
    before = rows(engine)
    assert dict(client.import_openapi(BILLING, PETSTORE, create=True).changes) == {}
    assert rows(engine) == before


def test_an_edited_document_changes_adds_and_removes_its_own_tools_alone(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    client.import_openapi(BILLING, minimal())
    client.import_openapi(BILLING, PETSTORE)
    before = live_state(engine, billing)["deployment"]["tools"]
    edited = petstore("operationId: listPets", "operationId: searchPets").replace(b"Add a pet", b"Put a pet in")

    done = client.import_openapi(BILLING, edited)

    state = live_state(engine, billing)
    assert state["tools"] == {
        INVOICE: 0,
        REFUND: 1,
        SUMMARY: 2,
        "tools:http:smallest:get_a": 3,
        CREATE: 5,
        GET: 6,
        DELETE: 7,
        f"{PETS}searchPets": 8,
    }
    after = state["deployment"]["tools"]
    assert after.keys() - before.keys() == {f"{PETS}searchPets"}
    assert before.keys() - after.keys() == {LIST}
    assert {urn for urn in before.keys() & after.keys() if before[urn] != after[urn]} == {CREATE}
    assert done.warnings == ()


def test_what_was_taken_from_the_list_by_hand_stays_away(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    client.import_openapi(BILLING, PETSTORE)
    client.edit_toolset(BILLING, remove_tools=[DELETE])
    client.import_openapi(BILLING, petstore("operationId: createPet", "operationId: addPet"))
    listed = live_state(engine, billing)["tools"]
    assert (DELETE in listed, f"{PETS}addPet" in listed) == (False, True)


def test_another_toolset_of_the_project_lists_the_same_tools(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    client.import_openapi(BILLING, PETSTORE)
    other = billing.project.toolset("other")
    done = client.import_openapi("acme/payments/other", PETSTORE)
    assert live_state(engine, other)["tools"] == {LIST: 0, CREATE: 1, GET: 2, DELETE: 3}
    assert list(done.changes) == ["tools"]


def test_whom_an_edited_document_reaches_is_told(client: ReleaseClient, billing: Toolset) -> None:
    client.import_openapi(BILLING, PETSTORE)
    billing.project.toolset("other", tools=[CREATE])
    done = client.import_openapi(BILLING, petstore("Add a pet", "Put a pet in"))
    assert done.warnings == ("changes what acme/payments/other serves: deployment",)


def test_everything_is_made_if_that_is_asked_for_and_nothing_otherwise(client: ReleaseClient, engine: Engine) -> None:
    with pytest.raises(ToolsetNotFound):
        client.import_openapi("new/shop/pets", PETSTORE)
    with pytest.raises(InvalidRequest):
        client.import_openapi("new/shop/pets", b"{}", create=True)
    assert list(client.organizations()) == []
    done = client.import_openapi("new/shop/pets", PETSTORE, create=True)
    shown = client.show_toolset("new/shop/pets")
    assert shown.id == done.id
    assert next((one.urn, one.name, one.provided) for one in shown.tools) == (LIST, "listPets", True)
    client.import_openapi("new/shop/others", minimal(), create=True)
    client.import_openapi("new/else/pets", PETSTORE, create=True)
    assert [one.path for one in client.toolsets()] == ["new/else/pets", "new/shop/others", "new/shop/pets"]


def test_another_organization_makes_nothing_here(client: ReleaseClient, billing: Toolset) -> None:
    client.add_organization("other")
    with pytest.raises(ToolsetNotFound):
        client.import_openapi(BILLING, PETSTORE, organization="other")
    with pytest.raises(OwnerNotFound):
        client.import_openapi("acme/new/toolset", PETSTORE, organization="other", create=True)
    assert client.import_openapi("other/new/toolset", PETSTORE, organization="other", create=True).changes


def test_tools_that_no_import_has_made_are_not_taken_over(
    client: ReleaseClient, engine: Engine, billing: Toolset
) -> None:
    client.edit_toolset(
        BILLING,
        deploy={
            "tools": [{"urn": f"{PETS}mine", "method": "GET"}],
            "assets": [{"kind": "openapiv3", "slug": "pet-store", "config": {"version": "1"}}],
        },
    )
    before = live_state(engine, billing)
    with pytest.raises(InvalidRequest, match="slug: the project has tools of pet-store that were not imported"):
        client.import_openapi(BILLING, PETSTORE)
    assert live_state(engine, billing) == before
    client.import_openapi(BILLING, PETSTORE, slug="pets")
    assert f"{PETS}mine" in live_state(engine, billing)["deployment"]["tools"]


def test_tools_of_a_slug_that_only_begins_alike_stay(client: ReleaseClient, engine: Engine, billing: Toolset) -> None:
    client.import_openapi(BILLING, PETSTORE, slug="pet")
    client.import_openapi(BILLING, petstore("operationId: listPets", "operationId: other"), slug="pet-store")
    client.import_openapi(BILLING, petstore("operationId: createPet", "operationId: other"), slug="pet")
    tools = live_state(engine, billing)["deployment"]["tools"]
    assert f"{PETS}other" in tools
    assert f"{PETS}createPet" in tools


def test_a_freeze_holds_imports_off(client: ReleaseClient, billing: Toolset) -> None:
    freeze(billing.project)
    with pytest.raises(Frozen):
        client.import_openapi(BILLING, PETSTORE)
    client.import_openapi(BILLING, PETSTORE, override_freeze="provider down")


def test_an_import_joins_the_transaction_of_its_caller(client: ReleaseClient, engine: Engine) -> None:
    with Session(engine) as session:
        client.import_openapi("new/shop/pets", PETSTORE, create=True, session=session)
        assert len(client.show_toolset("new/shop/pets", session=session).tools) == 4
        session.rollback()
    assert list(client.organizations()) == []


def test_a_document_may_be_its_value_or_its_text(client: ReleaseClient, billing: Toolset) -> None:
    assert client.import_openapi(BILLING, minimal()).changes
    assert not client.import_openapi(BILLING, PETSTORE.decode(), slug="pets").changes.keys() - {"tools", "deployment"}
    with pytest.raises(InvalidRequest, match="is not JSON"):
        client.import_openapi(BILLING, {"openapi": object()})


def test_a_real_api_is_imported_in_two_versions_released_and_rolled_back(client: ReleaseClient, engine: Engine) -> None:
    # A first deployment has a status and an asset, besides.
    for version, expected in {"3.17": (966 + 2, 0), "3.19": (73, 13 + 1)}.items():
        done = client.import_openapi("demo/github/rest", github(version), create=True)
        deployed = done.changes["deployment"]
        assert (len(deployed.added), len(deployed.changed), done.warnings) == (*expected, ())
    toolset = Toolset(World(engine).rows, done.id, a_full_toolset(engine).project, "rest")
    after = live_state(engine, toolset)
    assert len(after["tools"]) == 1039
    release(engine, toolset)
    client.import_openapi("demo/github/rest", github("3.17"))
    assert len(live_state(engine, toolset)["tools"]) == 966
    roll_back(engine, toolset, 1)
    assert live_state(engine, toolset) == after


def test_how_often_an_import_waits_for_postgresql(client: ReleaseClient, billing: Toolset) -> None:
    client.show_toolset(BILLING)  # the first use of a connection costs more
    with round_trips(client._engine()) as first:
        client.import_openapi(BILLING, PETSTORE)
    with round_trips(client._engine()) as again:
        client.import_openapi(BILLING, PETSTORE)
    # begin, hold, is it frozen, commit; hold rows and deployment, twice; two lists; read, compare
    around = 4 + 2 + 2 + 2
    # Whom it reaches; hold the original and find it; a new deployment; fill and activate it, list, what is provided.
    assert (first.number, again.number) == (around + 1 + 1 + 1 + 1, around)
