"""`organization add|list|show|edit`."""

from typing import TYPE_CHECKING, Annotated

import typer

from release_worker.cli.editing import edit_organization
from release_worker.cli.live_client import database_client
from release_worker.cli.options import AsJson, IfMissing, OwnersName
from release_worker.cli.render import command_line, count, facts, one_line, print_json, say, show_table, table
from release_worker.cli.values import json_lines

if TYPE_CHECKING:
    from release_worker.domain.editing.owners import Added, ShownOrganization

app = typer.Typer(help="Add organizations, and look at what they have.")

OrganizationArgument = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="Its slug or id.")]


@app.command()
def add(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The first part of the paths of its toolsets.")],
    name: OwnersName = None,
    if_missing: IfMissing = False,
    as_json: AsJson = False,
) -> None:
    """Add an organization.

    Example: release-worker organization add acme --name "Acme Inc."
    """
    with database_client() as client:
        made = client.add_organization(slug, name=name, if_missing=if_missing)
    tell_added("Organization", made, as_json=as_json, then=("project", "add", f"{made.path}/PROJECT"))


def tell_added(kind: str, made: "Added", *, as_json: bool, then: tuple[str, ...]) -> None:
    """Say that it is there, and what may come next."""
    if as_json:
        print_json(made)
    elif made.created:
        say(f"{kind} {made.path} is there.", f"Next: {command_line(*then)}")
    else:
        say(f"{kind} {made.path} was there already, and is left as it was.")


@app.command("list")
def list_organizations(as_json: AsJson = False) -> None:
    """List all organizations.

    Example: release-worker organization list
    """
    with database_client() as client:
        found = client.organizations()
    if as_json:
        print_json(found)
    elif found:
        rows = ((one.slug, f"{one.projects:,}", f"{one.toolsets:,}", one_line(one.name), str(one.id)) for one in found)
        columns = ("organization", "projects", "toolsets", "name", "id")
        show_table(table(*columns, rows=rows, elastic=("name",), right=("projects", "toolsets")))
    else:
        say(f"There are no organizations yet. Add one: {command_line('organization', 'add', 'SLUG')}")


@app.command()
def show(organization: OrganizationArgument, as_json: AsJson = False) -> None:
    """Show the projects and variations of an organization.

    Example: release-worker organization show acme
    """
    with database_client() as client:
        found = client.show_organization(organization)
    print_json(found) if as_json else _show(found)


def _show(found: "ShownOrganization") -> None:
    show_table(facts((("organization", found.slug), ("name", one_line(found.name)), ("id", str(found.id)))))
    if found.projects:
        lines = (f"  {one.path} ({count(one.toolsets, 'toolset')})" for one in found.projects)
        say("", "projects:", *lines)
    if found.variations:
        say("", "variations of all its toolsets:", *json_lines(found.variations))


app.command("edit")(edit_organization)
