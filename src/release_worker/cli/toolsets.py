"""`toolset add|list|show|edit|import`."""

from typing import TYPE_CHECKING, Annotated

import typer

from release_worker.cli import overview
from release_worker.cli.editing import edit_toolset
from release_worker.cli.importing import import_document
from release_worker.cli.live_client import database_client
from release_worker.cli.options import AsJson, IfMissing, Organization, OwnersName, ToolsetArgument
from release_worker.cli.organizations import tell_added
from release_worker.cli.render import facts, one_line, print_json, say, show_table
from release_worker.cli.values import SettingsGiven, json_lines, json_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from release_worker.domain.editing.owners import ListedItem, ShownToolset

app = typer.Typer(help="Add toolsets, edit them, or make them of API documents.")


@app.command()
def add(
    path: Annotated[
        str, typer.Argument(metavar="TOOLSET", help="organization/project/toolset; the project must be there.")
    ],
    name: OwnersName = None,
    description: Annotated[str | None, typer.Option(metavar="TEXT", help="What it is for.")] = None,
    settings: SettingsGiven = None,
    if_missing: IfMissing = False,
    as_json: AsJson = False,
) -> None:
    """Add a toolset to a project. It lists nothing yet.

    Example: release-worker toolset add acme/payments/billing --name Billing
    """
    given = json_values(settings, "--set-setting")
    with database_client() as client:
        made = client.add_toolset(path, name=name, description=description, settings=given, if_missing=if_missing)
    tell_added("Toolset", made, as_json=as_json, then=("toolset", "edit", made.path, "--add-tool", "URN"))


@app.command("list")
def list_toolsets(
    organization: overview.OfOrganization = None, project: overview.OfProject = None, as_json: AsJson = False
) -> None:
    """List toolsets with their releases and drift, as `toolsets` does.

    Example: release-worker toolset list --project acme/payments
    """
    overview.toolsets(organization, project, as_json=as_json)


@app.command()
def show(toolset: ToolsetArgument, organization: Organization = None, as_json: AsJson = False) -> None:
    """Show what a toolset has live: lists, settings, variations.

    Its releases may hold something else. What it shares with others is shown by `project show` and `organization show`.
    Values under keys that look secret are hidden.

    Example: release-worker toolset show acme/payments/billing
    """
    with database_client() as client:
        found = client.show_toolset(toolset, organization=organization)
    print_json(found) if as_json else _show(found)


def _show(found: "ShownToolset") -> None:
    number = found.current_release_number
    pairs = (
        ("toolset", found.path),
        ("name", one_line(found.name)),
        ("description", one_line(found.description, 1_000) if found.description else None),
        ("id", str(found.id)),
        ("mode", found.mode),
        ("current release", "none" if number is None else str(number)),
    )
    show_table(facts(pairs))
    if found.settings:
        say("", "settings:", *json_lines(found.settings))
    for heading, items in (("tools", found.tools), ("resources", found.resources)):
        if items:
            say("", f"{heading}:", *_item_lines(items))
    if found.variations:
        say("", "variations:", *json_lines(found.variations))


def _item_lines(items: "Sequence[ListedItem]") -> "Iterator[str]":
    for one in items:
        yield f"  {one_line(one.urn, 500)}{'' if one.provided else '  (nothing provides it)'}"


app.command("edit")(edit_toolset)
app.command("import")(import_document)
