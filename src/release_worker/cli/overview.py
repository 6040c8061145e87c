"""`status`, `toolsets`: how things are."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from release_worker.cli.changes import summary_lines
from release_worker.cli.log import operation_named, outcome, show_operations
from release_worker.cli.options import AsJson, Organization, ToolsetArgument
from release_worker.cli.render import (
    age,
    command_line,
    exact_moment,
    facts,
    one_line,
    print_json,
    say,
    show_table,
    table,
)

if TYPE_CHECKING:
    from release_worker.domain.requests.status import StatusResult
    from release_worker.queries.toolsets import ListedToolset

OfOrganization = Annotated[
    str | None, typer.Option("--organization", metavar="ORGANIZATION", help="Only those of this one, by slug or id.")
]
OfProject = Annotated[
    str | None, typer.Option("--project", metavar="ORGANIZATION/PROJECT", help="Only those of this project.")
]
Check = Annotated[bool, typer.Option("--check", help="Look for drift now, instead of telling what was found last.")]


def status(toolset: ToolsetArgument, organization: Organization = None, as_json: AsJson = False) -> None:
    """Show how a toolset is: current release, drift, what is queued and running, and what was done last.

    Example: release-worker status acme/payments/billing
    """
    from release_worker.cli.answers import answered
    from release_worker.domain.requests.status import StatusResult

    result = answered(StatusResult, "status", toolset=toolset, organization=organization)
    print_json(result) if as_json else _show_status(result, datetime.now(UTC))


def _show_status(result: "StatusResult", now: datetime) -> None:
    show_table(facts(_status_facts(result, now)))
    if result.changes:
        say(
            "", "drift, from the current release to live state:", *(f"  {one}" for one in summary_lines(result.changes))
        )
        say(f"  (all of it: {command_line('drift', result.path)})")
    for heading, entries in (("unfinished requests", result.unfinished), ("last operations", result.operations)):
        if entries:
            say("", f"{heading}:")
            show_operations("age", _operations(entries, now))


def _status_facts(result: "StatusResult", now: datetime) -> Iterator[tuple[str, str | None]]:
    yield "toolset", result.path
    yield "id", str(result.toolset_id)
    yield "mode", result.mode
    yield "current release", "none" if result.current is None else _current(result.current, now)
    yield "notes", one_line(result.current["notes"]) if result.current and result.current["notes"] else None
    yield "newest good", None if result.last_good is None else f"release {result.last_good}"
    yield "releases", f"{result.releases:,}"
    yield "live state", _drift(result)
    yield "frozen", None if result.freeze is None else _freeze(result.freeze)
    yield "requests", f"{result.requests['queued']:,} queued, {result.requests['running']:,} running"


def _freeze(freeze: Mapping[str, Any]) -> str:
    until = exact_moment(datetime.fromisoformat(freeze["ends_at"]))
    return f"until {until}: {one_line(freeze['reason'], 300)} (override it with --override-freeze REASON)"


def _current(current: Mapping[str, Any], now: datetime) -> str:
    words = [current["mark"] and f"marked {current['mark']}", "pinned" if current["pinned"] else None]
    more = "".join(f", {word}" for word in words if word)
    made = age(datetime.fromisoformat(current["at"]), now)
    return f"{current['release_number']} ({current['kind']}), {made} old, by {one_line(current['actor'], 50)}{more}"


def _drift(result: "StatusResult") -> str:
    if result.current is None:
        return "held by no release"
    return "has drifted" if result.drifted else "is what the current release holds"


def _operations(entries: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[tuple[str, str, str, str, str]]:
    for one in entries:
        named = operation_named(one["operation"], one["details"])
        what = f"{named} {outcome(one['operation'], one['details'], one['error'])}"
        yield age(datetime.fromisoformat(one["at"]), now), one["status"], one["actor"], what, one["request_id"]


def toolsets(
    organization: OfOrganization = None, project: OfProject = None, check: Check = False, as_json: AsJson = False
) -> None:
    """List toolsets, each with its current release, its age, and drift.

    Drift is what the newest check found that the ledger has since the release became current; `drift --organization`
    asks the workers for one of every toolset.

    Example: release-worker toolsets --project acme/payments
    """
    from release_worker.queries.reading import reading
    from release_worker.queries.toolsets import list_toolsets
    from release_worker.settings import read_settings

    settings = read_settings()
    with reading(settings.database) as connection:
        listed = list_toolsets(connection, organization=organization, project=project)
    if check:
        from release_worker.queries.drift_now import drift_now
        from release_worker.state.registry import installed_components

        listed = drift_now(settings.database, installed_components(settings.secrets), listed)
    if as_json:
        print_json(listed)
    elif listed:
        show_table(_toolset_table(listed, datetime.now(UTC)))
    else:
        say("There are no such toolsets." if organization or project else "There are no toolsets yet.")


def _toolset_table(listed: "Sequence[ListedToolset]", now: datetime) -> Any:
    columns = ("toolset", "release", "age", "drift", "mode", "requests")
    rows = (
        (
            one_line(one.path, 600),
            _release(one),
            "" if one.released_at is None else age(one.released_at, now),
            _found(one, now),
            one.mode,
            f"{one.queued + one.running:,}" if one.queued or one.running else "",
        )
        for one in listed
    )
    return table(*columns, rows=rows, elastic=(), right=("age", "requests"))


def _release(one: "ListedToolset") -> str:
    if one.current_release_number is None:
        return "none"
    return f"{one.current_release_number}{f' {one.mark}' if one.mark else ''}"


def _found(one: "ListedToolset", now: datetime) -> Text:
    if one.current_release_number is None:
        return Text("")
    if one.drifted is None or one.drift_found_at is None:
        return Text("not checked")
    found = "drifted" if one.drifted else "none"
    return Text(f"{found}, {age(one.drift_found_at, now)} ago", style="yellow" if one.drifted else "")
