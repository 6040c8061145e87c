"""`freeze add|list|remove`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from release_worker.cli.options import Actor, AsJson, Organization
from release_worker.cli.render import command_line, exact_moment, moment, one_line, print_json, say, show_table, table
from release_worker.cli.waiting import client_from_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from release_worker.domain.freeze import Freeze

app = typer.Typer(help="Say when toolsets are to stay as they are.")


def _instant(text: str | datetime) -> datetime:
    from release_worker.domain.instant import parse_instant

    try:
        return parse_instant(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


OfProject = Annotated[
    str | None, typer.Option("--project", metavar="ORGANIZATION/PROJECT", help="All toolsets of this project.")
]
OfOrganization = Annotated[
    str | None, typer.Option("--organization", metavar="ORGANIZATION", help="All toolsets of this one, by slug or id.")
]
Start = Annotated[
    datetime | None,
    typer.Option(
        "--from", parser=_instant, metavar="INSTANT", help="When it begins, in ISO 8601; UTC if it says no zone."
    ),
]
End = Annotated[datetime, typer.Option("--to", parser=_instant, metavar="INSTANT", help="When it is over, likewise.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; whoever is refused is told.")]
FreezeId = Annotated[str, typer.Argument(metavar="ID", help="The freeze's id, as `freeze list` shows it.")]


@app.command()
def add(
    end: End,
    reason: Why,
    actor: Actor,
    project: OfProject = None,
    organization: OfOrganization = None,
    start: Start = None,
    as_json: AsJson = False,
) -> None:
    """Freeze all toolsets of a project or an organization for a time, from now on unless --from says when.

    Meanwhile whatever would change live state or the current release is refused: release, rollback, repair, staging
    publish and import, unless it is asked for with --override-freeze REASON. Plans, reads, pins, marks and staged
    copies go on.

    Example: release-worker freeze add --project acme/payments --to 2026-12-27T08:00+01:00 --reason "year end"
    """
    with client_from_environment(waits=True) as client:
        made = client.add_freeze(
            project=project, organization=organization, starts_at=start, ends_at=end, reason=reason, actor=actor
        )
    if as_json:
        print_json(made)
        return
    say(f"{made.scope} is frozen from {exact_moment(made.starts_at)} to {exact_moment(made.ends_at)}.")
    say(f"Take it back: {command_line('freeze', 'remove', str(made.id))}")


@app.command("list")
def list_freezes(
    project: OfProject = None,
    organization: OfOrganization = None,
    past: Annotated[bool, typer.Option("--past", help="Also those that are over.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the freezes that are in force or to come: those that hold for a project, those of an organization, or all.

    Example: release-worker freeze list --project acme/payments
    """
    with client_from_environment(waits=True) as client:
        found = client.freezes(project=project, organization=organization, past=past)
    if as_json:
        print_json(found)
    elif found:
        _show(found, now=datetime.now(UTC))
    else:
        say("There are no such freezes." if project or organization else "There are no freezes.")


@app.command()
def remove(freeze_id: FreezeId, organization: Organization = None, as_json: AsJson = False) -> None:
    """Take a freeze back: what it held off is free at once.

    Example: release-worker freeze remove 0199f0e0-7d1c-7cc3-98c4-dc0c0c07398f
    """
    with client_from_environment(waits=True) as client:
        removed = client.remove_freeze(freeze_id, organization=organization)
    print_json(removed) if as_json else say(f"The freeze of {removed.scope} is taken back: {one_line(removed.reason)}")


def _show(found: "Sequence[Freeze]", *, now: datetime) -> None:
    rows = (
        (
            one.scope,
            "in force" if one.in_force(now) else "to come" if now < one.starts_at else "over",
            moment(one.starts_at),
            moment(one.ends_at),
            one_line(one.created_by, 20),
            one_line(one.reason, 400),
            str(one.id),
        )
        for one in found
    )
    columns = ("of", "", "from (UTC)", "to (UTC)", "by", "reason", "id")
    show_table(table(*columns, rows=rows, elastic=("of", "by", "reason")))
