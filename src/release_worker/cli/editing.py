"""`toolset edit`, `project edit`, `organization edit`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_worker.cli.changes import change_lines
from release_worker.cli.documents import read_json
from release_worker.cli.live_client import database_client
from release_worker.cli.options import AsJson, Organization, ToolsetArgument
from release_worker.cli.render import command_line, one_line, print_json, say
from release_worker.cli.values import SettingsGiven, json_values, read_text, texts

if TYPE_CHECKING:
    from release_worker.domain.editing.edits import Edited


def _given(option: str, metavar: str, text: str) -> Any:
    return typer.Option(option, metavar=metavar, help=text)


Several = list[str] | None
Slug = Annotated[str | None, typer.Option("--slug", metavar="SLUG", help="A new last part of its path.")]
NewName = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="What it is called.")]
Description = Annotated[
    str | None, typer.Option("--description", metavar="TEXT", help="What it is for; an empty text for none.")
]
RemoveSettings = Annotated[Several, _given("--remove-setting", "KEY", "Take a setting away.")]
AddTools = Annotated[Several, _given("--add-tool", "URN", "List a tool, behind the others.")]
RemoveTools = Annotated[Several, _given("--remove-tool", "URN", "Take a tool from the list.")]
ToolOrder = Annotated[
    Path | None,
    typer.Option("--order-file", metavar="FILE", help="The tools that come first, a URN a line; - is stdin."),
]
AddResources = Annotated[Several, _given("--add-resource", "URN", "List a resource, behind the others.")]
RemoveResources = Annotated[Several, _given("--remove-resource", "URN", "Take a resource from the list.")]
ResourceOrder = Annotated[
    Path | None, typer.Option("--resource-order-file", metavar="FILE", help="Likewise, of the resources.")
]
SetVariations = Annotated[Several, _given("--set-variation", "URN=JSON", "Vary a tool in this toolset.")]
RemoveVariations = Annotated[Several, _given("--remove-variation", "URN", "Vary it no more.")]
SetPrompts = Annotated[
    Several, _given("--set-prompt", "NAME=TEXT", "Write a prompt of the project; NAME=@FILE reads it.")
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        help="Prompts with all their fields: a JSON object of {prompt, description, engine, kind, arguments, tool_urn} "
        "by name.",
    ),
]
RemovePrompts = Annotated[Several, _given("--remove-prompt", "NAME", "Delete a prompt of the project.")]
SetConfig = Annotated[Several, _given("--set-config", "KEY=JSON", "Configure the project; KEY=@FILE reads a file.")]
RemoveConfig = Annotated[Several, _given("--remove-config", "KEY", "Take that away.")]
Deploy = Annotated[
    Path | None,
    typer.Option(
        "--deploy",
        metavar="FILE",
        help="Deploy a catalogue in the project: a JSON list of tools, or {tools, resources, assets}. It provides that "
        "and nothing else.",
    ),
]
SetGlobalVariations = Annotated[
    Several, _given("--set-global-variation", "URN=JSON", "Vary a tool in the whole organization.")
]
RemoveGlobalVariations = Annotated[Several, _given("--remove-global-variation", "URN", "Vary it no more.")]
SetOrganizationsVariations = Annotated[
    Several, _given("--set-variation", "URN=JSON", "Vary a tool in all its toolsets.")
]
OverrideFreeze = Annotated[
    str | None,
    typer.Option(
        "--override-freeze",
        metavar="REASON",
        help="Do it even during a freeze. An edit keeps no record: the reason is not kept.",
    ),
]


def edit_toolset(
    toolset: ToolsetArgument,
    slug: Slug = None,
    name: NewName = None,
    description: Description = None,
    set_settings: SettingsGiven = None,
    remove_settings: RemoveSettings = None,
    add_tools: AddTools = None,
    remove_tools: RemoveTools = None,
    order: ToolOrder = None,
    add_resources: AddResources = None,
    remove_resources: RemoveResources = None,
    resource_order: ResourceOrder = None,
    set_variations: SetVariations = None,
    remove_variations: RemoveVariations = None,
    set_prompts: SetPrompts = None,
    prompts: Prompts = None,
    remove_prompts: RemovePrompts = None,
    set_config: SetConfig = None,
    remove_config: RemoveConfig = None,
    deploy: Deploy = None,
    set_global_variations: SetGlobalVariations = None,
    remove_global_variations: RemoveGlobalVariations = None,
    override_freeze: OverrideFreeze = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Edit live state: of a toolset, and what it shares.

    It happens wholly before or wholly after every release and rollback. What is so already is not written. A release
    holds it once you make one. Options with a URN, a KEY or a NAME may be given again and again.

    Example: release-worker toolset edit acme/payments/billing --add-tool tools:http:pay:refund --set-config retries=3
    """
    shared = _shared(set_prompts, prompts, remove_prompts, set_config, remove_config)
    with database_client() as client:
        edited = client.edit_toolset(
            toolset,
            slug=slug,
            name=name,
            description=description,
            set_settings=json_values(set_settings, "--set-setting"),
            remove_settings=remove_settings or (),
            add_tools=add_tools or (),
            remove_tools=remove_tools or (),
            tool_order=_lines(order, "--order-file"),
            add_resources=add_resources or (),
            remove_resources=remove_resources or (),
            resource_order=_lines(resource_order, "--resource-order-file"),
            set_variations=json_values(set_variations, "--set-variation"),
            remove_variations=remove_variations or (),
            set_global_variations=json_values(set_global_variations, "--set-global-variation"),
            remove_global_variations=remove_global_variations or (),
            deploy=_catalogue(deploy),
            override_freeze=override_freeze,
            organization=organization,
            **shared,
        )
    tell_edited(edited, as_json=as_json)


def edit_project(
    project: Annotated[str, typer.Argument(metavar="ORGANIZATION/PROJECT", help="Its path.")],
    slug: Slug = None,
    name: NewName = None,
    set_prompts: SetPrompts = None,
    prompts: Prompts = None,
    remove_prompts: RemovePrompts = None,
    set_config: SetConfig = None,
    remove_config: RemoveConfig = None,
    deploy: Deploy = None,
    override_freeze: OverrideFreeze = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Edit a project, and what its toolsets share.

    Otherwise as `toolset edit`.

    Example: release-worker project edit acme/payments --set-config 'model={"temperature": 0.2}'
    """
    shared = _shared(set_prompts, prompts, remove_prompts, set_config, remove_config)
    with database_client() as client:
        edited = client.edit_project(
            project,
            slug=slug,
            name=name,
            deploy=_catalogue(deploy),
            override_freeze=override_freeze,
            organization=organization,
            **shared,
        )
    tell_edited(edited, as_json=as_json)


def edit_organization(
    organization: Annotated[str, typer.Argument(metavar="ORGANIZATION", help="Its slug or id.")],
    slug: Slug = None,
    name: NewName = None,
    set_variations: SetOrganizationsVariations = None,
    remove_variations: RemoveVariations = None,
    override_freeze: OverrideFreeze = None,
    as_json: AsJson = False,
) -> None:
    """Edit an organization, and what all its toolsets share.

    Otherwise as `toolset edit`.

    Example: release-worker organization edit acme --name "Acme Corporation"
    """
    with database_client() as client:
        edited = client.edit_organization(
            organization,
            slug=slug,
            name=name,
            set_variations=json_values(set_variations, "--set-variation"),
            remove_variations=remove_variations or (),
            override_freeze=override_freeze,
        )
    tell_edited(edited, as_json=as_json)


def tell_edited(edited: "Edited", *, as_json: bool) -> None:
    """Say what has changed, and how to keep or undo it."""
    if as_json:
        print_json(edited)
        return
    changed = edited.changes or edited.renamed
    say(f"{edited.path} is edited." if changed else f"{edited.path} is as it was to be.")
    say(*(f"{what}: {one_line(one.before)} → {one_line(one.after)}" for what, one in edited.renamed.items()))
    say(*change_lines(edited.changes))
    say(*(one_line(f"warning: {warning}", 1_000) for warning in edited.warnings), stderr=True)
    if edited.changes and edited.scope == "toolset":
        say("", f"Keep it: {command_line('release', edited.path)}", _undoing(edited))


def _undoing(edited: "Edited") -> str:
    """How to take it back: an edit is no request, and only a release holds what was before."""
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings
    from release_worker.store.owners.naming import toolset_of_id
    from release_worker.store.releases import current_release

    with reading(read_settings().database) as connection:
        current = current_release(connection, toolset_of_id(connection, edited.id))
    if current is None:
        return "There is no release of it yet: nothing leads back to what was before."
    shared = ["--allow-shared-impact"] if any(one.startswith("changes what ") for one in edited.warnings) else []
    repair = command_line("repair", edited.path, "--reason", "WHY", *shared)
    return f"Undo it (all goes back to release {current.release_number}): {repair}"


def _shared(
    set_prompts: Several, prompts: Path | None, remove_prompts: Several, set_config: Several, remove_config: Several
) -> dict[str, Any]:
    whole = {} if prompts is None else read_json(prompts, "--prompts")
    if not isinstance(whole, dict):
        raise typer.BadParameter("is no JSON object of prompts by name", param_hint="--prompts")
    return {
        "set_prompts": {**whole, **texts(set_prompts, "--set-prompt")},
        "remove_prompts": remove_prompts or (),
        "set_config": json_values(set_config, "--set-config"),
        "remove_config": remove_config or (),
    }


def _catalogue(file: Path | None) -> Any:
    return None if file is None else read_json(file, "--deploy")


def _lines(file: Path | None, option: str) -> list[str] | None:
    if file is None:
        return None
    text = sys.stdin.read() if str(file) == "-" else read_text(file, option)
    return [line.strip() for line in text.splitlines() if line.strip()]
