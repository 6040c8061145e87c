"""Organizations, projects and toolsets are added, listed and shown, without a worker and without a broker."""

import json
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.errors import InvalidRequest, NameTaken, OwnerNotFound, ToolsetNotFound
from tests.support.billing import a_full_toolset
from tests.support.command_line import CommandLine
from tests.support.ledger import mailbox
from tests.support.world import World


def owners(client: ReleaseClient) -> None:
    client.add_organization("acme", name="Acme Inc.")
    client.add_project("acme/payments")
    client.add_toolset("acme/payments/billing", name="Billing", description="Invoices", settings={"timeout": 30})


def test_what_was_added_is_listed_and_shown(client: ReleaseClient) -> None:
    owners(client)

    [organization], [project], [toolset] = client.organizations(), client.projects(), client.toolsets()

    assert (organization.slug, organization.name, organization.projects, organization.toolsets) == (
        "acme",
        "Acme Inc.",
        1,
        1,
    )
    assert (project.path, project.name, project.active_deployment_id) == ("acme/payments", "payments", None)
    assert (toolset.path, toolset.current_release_number) == ("acme/payments/billing", None)
    shown = client.show_toolset("acme/payments/billing")
    assert (shown.name, shown.description, shown.settings) == ("Billing", "Invoices", {"timeout": 30})
    assert (shown.tools, shown.resources, shown.variations) == ((), (), {})
    assert client.show_project("acme/payments").toolsets == ("acme/payments/billing",)
    assert client.show_organization("acme").projects == (project,)


def test_what_was_added_can_be_released(client: ReleaseClient, engine: Engine) -> None:
    owners(client)
    toolset_id = client.show_toolset("acme/payments/billing").id
    with client as known, Session(engine) as session, session.begin():
        request = known.create_release(str(toolset_id), actor="ci", session=session)
    assert mailbox(engine).work_until_done(request.id).status == "succeeded"
    [listed] = client.toolsets()
    assert listed.current_release_number == 1


ADD: dict[str, Callable[..., Any]] = {
    "acme": ReleaseClient.add_organization,
    "acme/payments": ReleaseClient.add_project,
    "acme/payments/billing": ReleaseClient.add_toolset,
}


@pytest.mark.parametrize("path", ADD)
def test_a_name_is_given_once_and_if_missing_leaves_what_is_there(client: ReleaseClient, path: str) -> None:
    owners(client)
    with pytest.raises(NameTaken, match=f"{path} is there already"):
        ADD[path](client, path, name="Other")
    known = ADD[path](client, path, name="Other", if_missing=True)
    assert (known.path, known.created, known.name == "Other") == (path, False, False)


def test_an_addition_whose_commit_was_not_answered_is_known_as_its_own(
    client: ReleaseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second try finds what the first has written, under the id that both have."""
    real = client._at_once

    def twice(work: Any, session: Any) -> Any:
        real(work, session)
        return real(work, session)

    monkeypatch.setattr(client, "_at_once", twice)
    assert client.add_organization("acme").created


def test_the_slug_of_a_deleted_toolset_is_free(client: ReleaseClient, engine: Engine) -> None:
    billing = a_full_toolset(engine)
    billing.delete()
    assert client.add_toolset(billing.path).created


def test_an_owner_that_is_not_there_is_said(client: ReleaseClient) -> None:
    client.add_organization("acme")
    with pytest.raises(OwnerNotFound, match="there is no organization nobody"):
        client.add_project("nobody/payments")
    with pytest.raises(OwnerNotFound, match="there is no project acme/payments"):
        client.add_toolset("acme/payments/billing")
    with pytest.raises(OwnerNotFound):
        client.show_project("acme/payments")
    with pytest.raises(ToolsetNotFound):
        client.show_toolset("acme/payments/billing")


def test_another_organization_has_nothing_to_do_with_it(client: ReleaseClient) -> None:
    owners(client)
    client.add_organization("other")
    for refused in (
        lambda: client.add_project("acme/new", organization="other"),
        lambda: client.add_toolset("acme/payments/new", organization="other"),
        lambda: client.show_project("acme/payments", organization="other"),
        lambda: client.show_toolset("acme/payments/billing", organization="other"),
    ):
        with pytest.raises((OwnerNotFound, ToolsetNotFound)):
            refused()
    assert [one.path for one in client.projects(organization="acme")] == ["acme/payments"]
    assert list(client.projects(organization="other")) == []


@pytest.mark.parametrize(
    "slug",
    ["", "a/b", " ", "a b", "-a", "ä", "a\n", "a\0", "\ud800", "x" * 101, "01890a5d-ac96-774b-bcce-b302099a8057"],
)
def test_a_slug_that_could_be_no_part_of_a_path_is_refused(client: ReleaseClient, slug: str) -> None:
    owners(client)
    with pytest.raises(InvalidRequest):
        client.add_organization(slug)
    with pytest.raises(InvalidRequest):
        client.add_project(f"acme/{slug}")
    with pytest.raises(InvalidRequest):
        client.add_toolset(f"acme/payments/{slug}")


@pytest.mark.parametrize("value", [float("nan"), {"a": "\0"}, "\ud800", {1: 2}, object(), "x" * 1_048_577])
def test_a_setting_that_is_no_json_is_refused(client: ReleaseClient, value: object) -> None:
    owners(client)
    with pytest.raises(InvalidRequest, match="settings"):
        client.add_toolset("acme/payments/new", settings={"key": value})


def test_settings_keep_their_exact_value_and_their_secrets_are_not_shown(client: ReleaseClient) -> None:
    owners(client)
    client.add_toolset("acme/payments/new", settings={"big": 12345678901234567890, "api_key": "s3cret"})
    assert client.show_toolset("acme/payments/new").settings == {"big": 12345678901234567890, "api_key": "•••"}


def test_an_addition_joins_the_transaction_of_its_caller(client: ReleaseClient, engine: Engine) -> None:
    with Session(engine) as session:
        client.add_organization("acme", session=session)
        client.add_project("acme/payments", session=session)
        client.add_toolset("acme/payments/billing", session=session)
        assert [one.path for one in client.toolsets(session=session)] == ["acme/payments/billing"]
        session.rollback()
    assert list(client.organizations()) == []


def test_many_who_add_the_same_at_once_make_one(client: ReleaseClient) -> None:
    made: list[bool] = []

    def add() -> None:
        client.add_organization("acme", if_missing=True)
        client.add_project("acme/payments", if_missing=True)
        made.append(client.add_toolset("acme/payments/billing", if_missing=True).created)

    threads = [Thread(target=add) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 4 + [True]


def test_a_toolset_shows_what_it_lists_and_whether_anything_provides_it(client: ReleaseClient, engine: Engine) -> None:
    project = World(engine).organization("acme").project("shop")
    project.deploy(tools={"tools:function:f:a": 1}, resources={"resources:function:f:r": 1})
    project.add_prompt("p", kind="higher_order_tool", tool_urn="tools:prompt:p:p")
    project.toolset(
        "one", tools=["tools:prompt:p:p", "tools:function:f:a", "tools:gone:g:g"], resources=["resources:function:f:r"]
    )

    shown = client.show_toolset("acme/shop/one")

    assert [(one.urn, one.position, one.name is None, one.provided) for one in shown.tools] == [
        ("tools:prompt:p:p", 0, True, True),
        ("tools:function:f:a", 1, False, True),
        ("tools:gone:g:g", 2, True, False),
    ]
    assert [one.provided for one in shown.resources] == [True]


def test_a_project_and_an_organization_show_what_toolsets_share(client: ReleaseClient, engine: Engine) -> None:
    billing = a_full_toolset(engine)
    billing.project.configure("password", "s3cret")
    billing.project.organization.vary("tools:function:f:a", {"token": "s3cret", "name": "b"})

    project, organization = client.show_project("acme/payments"), client.show_organization("acme")

    assert project.deployment is not None
    assert (project.deployment.status, project.deployment.tools > 0, len(project.deployment.assets) > 0) == (
        "completed",
        True,
        True,
    )
    assert project.config["password"] == "•••"
    assert {"prompt", "engine", "kind"} <= next(iter(project.prompts.values())).keys()
    assert organization.variations["tools:function:f:a"] == {"token": "•••", "name": "b"}


def test_the_commands_add_list_and_show(run: CommandLine) -> None:
    made = run("organization", "add", "acme", "--name", "Acme Inc.")
    assert (made.status, made.out.splitlines()[0]) == (0, "Organization acme is there.")
    assert run("project", "add", "acme/payments", "--json").document["path"] == "acme/payments"
    added = run("toolset", "add", "acme/payments/billing", "--set-setting", 'model={"t": 0.10}', "--json").document
    assert (added["path"], added["created"]) == ("acme/payments/billing", True)
    shown = run("toolset", "show", "acme/payments/billing", "--json").document
    assert (shown["id"], shown["settings"]) == (added["id"], {"model": {"t": 0.1}})
    assert 'model = {"t": 0.1' in run("toolset", "show", "acme/payments/billing").out
    assert "acme/payments  " in run("project", "list").out
    assert "Acme Inc." in run("organization", "list").out
    assert run("toolset", "list", "--json").document == run("toolsets", "--json").document
    assert "acme/payments/billing" in run("project", "show", "acme/payments").out
    assert "acme/payments (1 toolset)" in run("organization", "show", "acme").out


def test_the_commands_say_in_one_line_what_is_wrong(run: CommandLine) -> None:
    run("organization", "add", "acme")
    again = run("organization", "add", "acme")
    assert (again.status, again.err) == (1, "error: organization acme is there already\n")
    assert run("organization", "add", "acme", "--if-missing").out.endswith("is left as it was.\n")
    assert run("organization", "add", "a b").status == 2
    assert run("project", "add", "payments").status == 2
    assert run("project", "add", "nobody/payments").status == 1
    headline, hint = run("project", "show", "nobody/payments").err.splitlines()
    assert headline == "error: there is no project nobody/payments"
    assert hint.endswith("release-worker project list")
    assert "is an address" in run("toolset", "import", "https://pets.example/openapi.json", "--into", "a/b/c").err
    assert "is not JSON" in run("toolset", "add", "acme/a/b", "--set-setting", "a=b").err
    assert run("toolset", "add", "acme/a/b", "--set-setting", "a=@/nowhere").err.count("\n") == 1


def test_an_error_is_told_in_json_too(run: CommandLine) -> None:
    run("organization", "add", "acme")
    assert json.loads(run("organization", "add", "acme", "--json").err) == {
        "type": "NameTaken",
        "message": "organization acme is there already",
        "details": {"scope": "organization", "name": "acme"},
    }
