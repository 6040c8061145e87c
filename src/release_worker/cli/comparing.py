"""`diff`, `drift`: what differs."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from release_worker.cli.changes import SHOWN, change_lines, summary_lines
from release_worker.cli.failures import DIFFERS
from release_worker.cli.options import (
    Actor,
    AsJson,
    NumberArgument,
    Organization,
    Timeout,
    ToolsetArgument,
    ToolsetOrAll,
)
from release_worker.cli.render import console, one_line, print_json, say
from release_worker.cli.waiting import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from release_worker.domain.changes import ComponentChanges
    from release_worker.domain.requests.check_drift import CheckDriftResult
    from release_worker.domain.requests.diff import DiffResult


def _release_or_live(value: str) -> str:
    if value != "live" and not (value.isascii() and value.isdecimal() and int(value) > 0):
        raise typer.BadParameter("neither a release's number nor `live`")
    return value


Second = Annotated[
    str,
    typer.Argument(metavar="M|live", help="Another release, or live state.", callback=_release_or_live),
]
Components = Annotated[
    list[str] | None,
    typer.Option(
        "--component",
        "--components",
        metavar="NAME",
        help="Compare only this; may be repeated, or several joined by commas.",
    ),
]
Key = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Only the items of this key, as it is shown; * stands for any text."),
]
Full = Annotated[bool, typer.Option("--full", help="Show every item, every value and every line of a text.")]


def diff(
    toolset: ToolsetArgument,
    number: NumberArgument,
    to: Second = "live",
    component: Components = None,
    key: Key = None,
    full: Full = False,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between release N and another release, or live state.

    `-` removed, `+` added, `>` moved, `~` changed, from N to M. Exit status 3 if anything differs, 0 if nothing does.
    Values under keys that look secret are not shown.

    Example: release-worker diff acme/payments/billing 41 42 --component system --full
    """
    from release_worker.cli.answers import answered
    from release_worker.domain.requests.diff import DiffResult

    named = [name for given in component or () for name in given.split(",")]
    result = answered(
        DiffResult,
        "diff",
        toolset=toolset,
        release_number=number,
        to="live" if to == "live" else int(to),
        components=named or None,
        key=key,
        organization=organization,
    )
    print_json(result) if as_json else _show_diff(toolset, result, chosen=bool(named or key), full=full)
    if not result.same:
        raise typer.Exit(DIFFERS)


def _show_diff(toolset: str, result: "DiffResult", *, chosen: bool, full: bool) -> None:
    sides = f"release {result.from_release}", _side(result.to)
    if result.same:
        say(f"{toolset}: {sides[0]} and {sides[1]} are the same{' in what you chose' if chosen else ''}.")
    else:
        say(f"{toolset}: from {sides[0]} to {sides[1]}", "")
        show_changes(result.changes, full=full)
    if result.not_compared:
        names = ", ".join(one_line(name) for name in result.not_compared)
        say("", f"Not compared, since a side says nothing of it: {names}")


def _side(number: int | Literal["live"]) -> str:
    return "live state" if number == "live" else f"release {number}"


def show_changes(changes: Mapping[str, "ComponentChanges"], *, full: bool) -> None:
    """A summary, and below it the first items of each component, or all."""
    say(*(f"  {line}" for line in summary_lines(changes)), "")
    details = list(change_lines(changes, limit=None if full else SHOWN, width=console().width))
    say(*details)
    if not full and any("… and " in line for line in details):
        say("", "--full shows all of it, --component NAME and --key KEY a part.")


def drift(
    actor: Actor,
    toolset: ToolsetOrAll = None,
    full: Full = False,
    organization: Organization = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Show what has changed in live state since the current release. Exit status 3 if anything has.

    Without TOOLSET, --organization says whose toolsets are all to be checked: by the workers, so that the ledger keeps
    what was found and `toolsets` shows it.

    Example: release-worker drift acme/payments/billing
    """
    if toolset is None:
        from release_worker.cli.drift_of_all import drift_of_all

        if organization is None:
            raise typer.BadParameter("name a TOOLSET, or the --organization whose toolsets are to be checked")
        drift_of_all(organization, actor=actor, timeout=timeout, as_json=as_json)
        return
    from release_worker.cli.answers import answered
    from release_worker.domain.requests.check_drift import CheckDriftResult

    result = answered(CheckDriftResult, "check_drift", toolset=toolset, organization=organization)
    print_json(result) if as_json else _show_drift(toolset, result, full=full)
    if result.drifted:
        raise typer.Exit(DIFFERS)


def _show_drift(toolset: str, result: "CheckDriftResult", *, full: bool) -> None:
    number = result.current_release_number
    if number is None:
        say(f"{toolset} has no current release: no release holds its live state.")
    elif not result.drifted:
        say(f"{toolset}: live state is what release {number} holds.")
    else:
        say(f"{toolset}: live state has moved away from release {number}", "")
        show_changes(result.changes, full=full)
