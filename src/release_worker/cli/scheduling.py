"""`schedule add|list|show|pause|resume|remove|run-now`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from release_worker.cli.options import (
    Actor,
    AsJson,
    Organization,
    OverrideFreeze,
    Reason,
    checked_toolset_or_none,
    parsed_labels,
)
from release_worker.cli.render import command_line, count, print_json, say, show_table
from release_worker.cli.schedules_shown import as_document, facts_of, rows_of
from release_worker.cli.waiting import client_from_environment

if TYPE_CHECKING:
    from release_worker.domain.schedules.schedule import Schedule

app = typer.Typer(help="Ask for the same again and again, or at a later time.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name; its organization has it once.")]
OfToolset = Annotated[
    str | None,
    typer.Option("--toolset", metavar="TOOLSET", help="For this toolset.", callback=checked_toolset_or_none),
]
OfProject = Annotated[
    str | None,
    typer.Option("--project", metavar="ORGANIZATION/PROJECT", help="For each toolset that this project has then."),
]
OfOrganization = Annotated[
    str | None,
    typer.Option(
        "--organization",
        metavar="ORGANIZATION",
        help="For each toolset that this organization has then; beside --toolset or --project: whose it must be.",
    ),
]
Cron = Annotated[
    str | None,
    typer.Option(
        "--cron",
        metavar="EXPRESSION",
        help="When: minute, hour, day of month, month, day of week; seconds may precede.",
    ),
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="INSTANT", help="When, once: ISO 8601, in --timezone if it says no offset."),
]
Timezone = Annotated[str, typer.Option(metavar="ZONE", help="The IANA time zone in which --cron and --at are meant.")]
Kind = Annotated[
    str,
    typer.Option(
        metavar="KIND",
        help="What is asked for: create_release, check_drift, repair, prune, verify; of a toolset rollback, publish.",
    ),
]
Misfire = Annotated[
    Literal["skip", "once", "all"],
    typer.Option(help="If no worker was there in time: leave it out, do the latest, or do each."),
]
CatchUp = Annotated[int, typer.Option(min=0, metavar="SECONDS", help="How late it may still be done.")]
Overlap = Annotated[
    Literal["skip", "queue"] | None,
    typer.Option(
        help="If the request before has not ended: leave it out, or queue it.",
        show_default="skip; with --misfire all: queue",
    ),
]


@app.command()
def add(
    name: Name,
    actor: Actor,
    toolset: OfToolset = None,
    project: OfProject = None,
    organization: OfOrganization = None,
    cron: Cron = None,
    at: At = None,
    timezone: Timezone = "UTC",
    kind: Kind = "create_release",
    misfire: Misfire = "once",
    catch_up_seconds: CatchUp = 3_600,
    overlap: Overlap = None,
    notes: Annotated[str | None, typer.Option(metavar="TEXT", help="Of a release.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Of a release; repeatable.")] = None,
    even_if_unchanged: Annotated[
        bool, typer.Option("--even-if-unchanged", help="Release also if nothing has changed.")
    ] = False,
    release_number: Annotated[int | None, typer.Option(min=1, metavar="N", help="Roll back to release N.")] = None,
    to: Annotated[
        Literal["current", "previous", "undo", "last_good"] | None,
        typer.Option(help="Roll back to the release that this means when it is done."),
    ] = None,
    reason: Reason = None,
    component: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Restore only this component; repeatable.")
    ] = None,
    on_missing: Annotated[
        Literal["fail", "skip", "recreate"] | None, typer.Option(help="As of `rollback`.", show_default="fail")
    ] = None,
    allow_shared_impact: Annotated[
        bool, typer.Option("--allow-shared-impact", help="Also if other toolsets then serve something else.")
    ] = False,
    allow_bad: Annotated[bool, typer.Option("--allow-bad", help="Also to a release that is marked bad.")] = False,
    expected_current_release: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Only if release N is current then.")
    ] = None,
    keep: Annotated[int | None, typer.Option(min=1, metavar="COUNT", help="Of a prune: how many stay.")] = None,
    as_json: AsJson = False,
) -> None:
    """Add a schedule. The options after --overlap are those of the request; a release is made only if something has
    changed.

    A rollback is checked now, and again when it is due: if it is impossible then, the schedule is suspended.

    \b
    Example:
      release-worker schedule add nightly --project acme/payments \\
        --cron "0 3 * * *" --timezone Europe/Berlin
      release-worker schedule add back --toolset acme/payments/billing \\
        --at 2027-01-08T08:00 --kind rollback --release-number 41
    """
    arguments: dict[str, Any] = {
        "notes": notes,
        "labels": parsed_labels(label),
        "only_if_changed": False if even_if_unchanged else None,
        "release_number": release_number,
        "to": to,
        "reason": reason,
        "components": tuple(component) if component else None,
        "on_missing": on_missing,
        "allow_shared_impact": allow_shared_impact or None,
        "allow_bad": allow_bad or None,
        "expected_current_release": expected_current_release,
        "keep": keep,
    }
    with client_from_environment(waits=True) as client:
        added = client.add_schedule(
            name,
            toolset=toolset,
            project=project,
            organization=organization,
            cron=cron,
            at=at,
            timezone=timezone,
            kind=kind,
            arguments={option: value for option, value in arguments.items() if value is not None},
            misfire=misfire,
            catch_up_seconds=catch_up_seconds,
            overlap=overlap,
            actor=actor,
        )
    _show(added, as_json=as_json)


@app.command("list")
def list_schedules(organization: Organization = None, as_json: AsJson = False) -> None:
    """List the schedules and when each fires next.

    Example: release-worker schedule list --organization acme
    """
    with client_from_environment(waits=True) as client:
        found = client.schedules(organization=organization)
    if as_json:
        print_json([as_document(schedule) for schedule in found])
    elif found:
        show_table(rows_of(found))
    else:
        say("There are no schedules.")


@app.command()
def show(name: Name, organization: Organization = None, as_json: AsJson = False) -> None:
    """Show a schedule: what it asks for, when it fires next, and why it does not.

    Example: release-worker schedule show nightly
    """
    with client_from_environment(waits=True) as client:
        found = client.schedule(name, organization=organization)
    _show(found, as_json=as_json)


@app.command()
def pause(name: Name, organization: Organization = None, as_json: AsJson = False) -> None:
    """Let a schedule fire no more until it is resumed.

    Example: release-worker schedule pause nightly
    """
    with client_from_environment(waits=True) as client:
        paused = client.pause_schedule(name, organization=organization)
    if as_json:
        print_json(as_document(paused))
    else:
        say(f"Schedule {name} is paused. Resume it: {_command('resume', paused)}")


@app.command()
def resume(name: Name, organization: Organization = None, as_json: AsJson = False) -> None:
    """Let a schedule that was paused or suspended fire again, from now on: nothing is caught up.

    Example: release-worker schedule resume nightly
    """
    with client_from_environment(waits=True) as client:
        resumed = client.resume_schedule(name, organization=organization)
    _show(resumed, as_json=as_json)


@app.command()
def remove(name: Name, organization: Organization = None, as_json: AsJson = False) -> None:
    """Remove a schedule. The requests that it has made stay, and are done.

    Example: release-worker schedule remove nightly
    """
    with client_from_environment(waits=True) as client:
        removed = client.remove_schedule(name, organization=organization)
    if as_json:
        print_json(as_document(removed))
    else:
        say(f"Schedule {name} of {removed.organization} is removed.")


@app.command("run-now")
def run_now(
    name: Name, organization: Organization = None, override_freeze: OverrideFreeze = None, as_json: AsJson = False
) -> None:
    """Do once, now, what a schedule asks for, and print the ids of the requests. When it fires next stays as it is.

    Example: release-worker schedule run-now nightly
    """
    with client_from_environment(waits=True) as client:
        handles = client.run_schedule_now(name, organization=organization, override_freeze=override_freeze)
    if as_json:
        print_json({"requests": [{"toolset": toolset, "request_id": made.id} for toolset, made in handles.items()]})
        return
    say(f"{count(len(handles), 'request')} accepted.", *(f"{made.id}  {path}" for path, made in handles.items()))
    if len(handles) == 1:
        (made,) = handles.values()
        say(f"Follow it: {command_line('requests', 'show', made.id)}")


def _show(schedule: "Schedule", *, as_json: bool) -> None:
    if as_json:
        print_json(as_document(schedule))
    else:
        show_table(facts_of(schedule))


def _command(word: str, schedule: "Schedule") -> str:
    return command_line("schedule", word, schedule.name, "--organization", schedule.organization)
