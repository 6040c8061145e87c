"""`log`: every operation that was asked of a toolset, and what came of it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from release_worker.cli.options import AsJson, Organization, ToolsetArgument
from release_worker.cli.render import (
    command_line,
    is_narrow,
    one_line,
    precise_moment,
    print_json,
    say,
    show_table,
    table,
)

if TYPE_CHECKING:
    from release_worker.queries.log import LogEntry

LONGEST_ID = 36
STYLES = {"failed": "red", "running": "yellow"}

Limit = Annotated[int, typer.Option(min=1, metavar="COUNT", help="How many, from the newest.")]
Before = Annotated[int | None, typer.Option(min=1, metavar="SEQ", help="Only those before this one, to read on.")]
ByActor = Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Only what this one asked for.")]
Operation = Annotated[
    list[str] | None, typer.Option(metavar="KIND", help="Only these, such as rollback; may be repeated.")
]
Failed = Annotated[bool, typer.Option("--failed", help="Only what failed.")]
Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], help="Asked at this time or later, UTC."),
]
Writing = Annotated[bool, typer.Option("--changes", help="Leave out what only reads: plans, drift, diff, verify.")]


def log(
    toolset: ToolsetArgument,
    limit: Limit = 50,
    before: Before = None,
    actor: ByActor = None,
    operation: Operation = None,
    failed: Failed = False,
    changes: Writing = False,
    since: Since = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Show every operation that was asked of a toolset, the newest first, with what failed too.

    Example: release-worker log acme/payments/billing --operation rollback --operation create_release
    """
    from datetime import UTC

    from release_worker.queries.log import LogFilter, toolset_log
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings
    from release_worker.store.owners.naming import find_toolset

    chosen = LogFilter(
        before=before,
        actor=actor,
        operations=operation or (),
        statuses=("failed",) if failed else (),
        since=since and since.replace(tzinfo=UTC),
        writing=changes,
    )
    with reading(read_settings().database) as connection:
        subject = find_toolset(connection, toolset, organization=organization)
        entries = toolset_log(connection, subject.toolset_id, limit=limit, chosen=chosen)
    if as_json:
        print_json(entries)
    elif entries:
        _show(entries)
        if len(entries) == limit:
            say("", f"Read on: {command_line('log', toolset, '--before', entries[-1].seq)}")
    else:
        say(f"Nothing of the kind was asked of {subject.path}.")


def _show(entries: "list[LogEntry]") -> None:
    rows = (
        (
            precise_moment(one.at),
            one.status,
            one.actor,
            f"{operation_named(one.operation, one.details)} {outcome(one.operation, one.details, one.error)}",
            one.request_id,
        )
        for one in entries
    )
    show_operations("at (UTC)", rows)


def show_operations(time: str, rows: Iterable[tuple[str, str, str, str, str]]) -> None:
    """A table of time, status, actor, what was done, and the request, which is never cut short: where there is
    little room it stands below what was done."""
    cells = (
        (at, Text(status, style=STYLES.get(status, "")), one_line(actor, 20), one_line(what, 400), one_line(request))
        for at, status, actor, what, request in rows
    )
    if is_narrow():
        stacked = ((at, status, actor, f"{what}\n{request}") for at, status, actor, what, request in cells)
        made = table(time, "status", "by", "what\nrequest", rows=stacked, elastic=("by", "what\nrequest"))
        made.columns[-1].min_width = LONGEST_ID
        show_table(made)
    else:
        ordered = ((at, status, request, actor, what) for at, status, actor, what, request in cells)
        show_table(table(time, "status", "request", "by", "what", rows=ordered, elastic=("by", "what")))


def outcome(operation: str, details: Mapping[str, Any], error: Mapping[str, Any] | None) -> str:
    """What was asked and what came of it, in a few words: `→ 5`, `5 → 1, backup 6: bad prompt`, the error."""
    if error is not None:
        asked = f"{details['release_number']} " if "release_number" in details else ""
        return f"{asked}{error['type']}: {error['message']}"
    if operation == "create_release":
        made = "" if details.get("created", True) else ", nothing had changed"
        return f"{_number(details, 'release_number', '→ {}')}{made}{_said(details, 'notes')}{_overridden(details)}"
    if operation == "rollback" and "to_release_number" not in details:
        return f"to {details.get('release_number', details.get('to'))}{_said(details, 'reason')}{_overridden(details)}"
    if "to_release_number" in details:
        return f"{_rolled_back(details)}{_said(details, 'reason')}{_overridden(details)}"
    told = [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in details.items()
        if name != "override_freeze"
    ]
    overridden = _overridden(details).removeprefix("; ")
    return ", ".join([overridden, *told] if overridden else told)


def operation_named(operation: str, details: Mapping[str, Any]) -> str:
    """The kind of the request; a plan of a rollback is none."""
    return "plan" if details.get("dry_run") is True else operation


def _rolled_back(details: Mapping[str, Any]) -> str:
    way = f"{details.get('from_release_number', 'none')} → {details['to_release_number']}"
    words = ["nothing to do"] if details.get("noop") is True else []
    backup = _number(details, "backup_release_number", "backup {}")
    return ", ".join([way, *([backup] if backup else []), *words])


def _number(details: Mapping[str, Any], name: str, form: str) -> str:
    return form.format(details[name]) if name in details else ""


def _said(details: Mapping[str, Any], name: str) -> str:
    return f": {details[name]}" if details.get(name) else ""


def _overridden(details: Mapping[str, Any]) -> str:
    return f"; freeze overridden: {details['override_freeze']}" if details.get("override_freeze") else ""
