"""`project add|list|show|edit`."""

from typing import TYPE_CHECKING, Annotated

import typer

from release_worker.cli.editing import edit_project
from release_worker.cli.live_client import database_client
from release_worker.cli.options import AsJson, IfMissing, Organization, OwnersName
from release_worker.cli.organizations import tell_added
from release_worker.cli.render import count, facts, one_line, print_json, say, show_table, table
from release_worker.cli.values import json_lines

if TYPE_CHECKING:
    from release_worker.domain.editing.owners import ShownDeployment, ShownProject

app = typer.Typer(help="Add projects, and look at what their toolsets share.")

ProjectArgument = Annotated[str, typer.Argument(metavar="ORGANIZATION/PROJECT", help="Its path.")]
OfOrganization = Annotated[
    str | None, typer.Option("--organization", metavar="ORGANIZATION", help="Only those of this one, by slug or id.")
]


@app.command()
def add(path: ProjectArgument, name: OwnersName = None, if_missing: IfMissing = False, as_json: AsJson = False) -> None:
    """Add a project to an organization that is there.

    Example: release-worker project add acme/payments --name Payments
    """
    with database_client() as client:
        made = client.add_project(path, name=name, if_missing=if_missing)
    tell_added("Project", made, as_json=as_json, then=("toolset", "add", f"{made.path}/TOOLSET"))


@app.command("list")
def list_projects(organization: OfOrganization = None, as_json: AsJson = False) -> None:
    """List projects, of one organization or of all.

    Example: release-worker project list --organization acme
    """
    with database_client() as client:
        found = client.projects(organization=organization)
    if as_json:
        print_json(found)
    elif found:
        rows = ((one.path, f"{one.toolsets:,}", one_line(one.name), str(one.id)) for one in found)
        show_table(table("project", "toolsets", "name", "id", rows=rows, elastic=("name",), right=("toolsets",)))
    else:
        say(f"There are no {'such projects' if organization else 'projects yet'}.")


@app.command()
def show(project: ProjectArgument, organization: Organization = None, as_json: AsJson = False) -> None:
    """Show what the toolsets of a project share.

    That is its deployment, prompts and configuration. Values under keys that look secret are hidden.

    Example: release-worker project show acme/payments
    """
    with database_client() as client:
        found = client.show_project(project, organization=organization)
    print_json(found) if as_json else _show(found)


def _show(found: "ShownProject") -> None:
    pairs = (
        ("project", found.path),
        ("name", one_line(found.name)),
        ("id", str(found.id)),
        ("deployment", "none" if found.deployment is None else _deployment(found.deployment)),
    )
    show_table(facts(pairs))
    if found.deployment is not None and found.deployment.assets:
        lines = (f"  {one_line(key)}: {one_line(asset['name'])}" for key, asset in found.deployment.assets.items())
        say("", "assets of the deployment:", *lines)
    if found.prompts:
        lines = (f"  {one_line(name)}: {one_line(prompt['prompt'])}" for name, prompt in found.prompts.items())
        say("", "prompts:", *lines)
    if found.config:
        say("", "configuration:", *json_lines(found.config))
    if found.toolsets:
        say("", "toolsets:", *(f"  {path}" for path in found.toolsets))


def _deployment(deployment: "ShownDeployment") -> str:
    defined = f"{count(deployment.tools, 'tool')}, {count(deployment.resources, 'resource')}"
    return f"{deployment.id} ({deployment.status}): {defined}"


app.command("edit")(edit_project)
