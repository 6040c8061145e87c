"""What a release or a rollback came to, in words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release_worker.cli.changes import SHOWN, change_lines
from release_worker.cli.render import command_line, console, listed, say

if TYPE_CHECKING:
    from release_worker.domain.requests.create_release import CreateReleaseResult
    from release_worker.domain.requests.rollback import RollbackResult


def show_new_release(toolset: str, result: "CreateReleaseResult") -> None:
    """That a release was made, or that none was needed."""
    number = result.release_number
    if result.created:
        say(f"Release {number} of {toolset} was made, and is current.")
    else:
        say(f"Nothing has changed since release {number} of {toolset}, which stays current.")
    say(f"toolset version {result.toolset_version}, digest {result.digest}")


def show_rollback(
    toolset: str, result: "RollbackResult", *, choices: Sequence[str] = (), every_change: bool = False
) -> None:
    """What was or would be restored. `choices` are the options that a command to do it has to repeat."""
    say(_headline(toolset, result), *_kept(result))
    if result.changes:
        say("")
        limit = None if every_change else SHOWN
        say(*change_lines(result.changes, limit=limit, width=console().width))
    if result.warnings:
        say("")
        say(*(f"warning: {line}" for line in listed(result.warnings, None if every_change else SHOWN)))
    if ending := _ending(toolset, result, choices):
        say("", ending)


def _headline(toolset: str, result: "RollbackResult") -> str:
    target, before = result.to_release_number, result.from_release_number
    if result.noop:
        return f"Nothing to do: {toolset} is at release {target}, and nothing differs from it."
    way = f"{toolset} from {'no release' if before is None else f'release {before}'} to release {target}"
    if before == target:
        way = f"{toolset} from what it has become since to its current release {target}"
    if result.dry_run:
        plan = f"Plan: roll back {way}. Nothing was changed."
        return plan if result.changes else f"{plan} Live state is as in release {target} already."
    if not result.changes:
        return f"Rolled back {way}. Live state was so already."
    return f"Rolled back {way}."


def _kept(result: "RollbackResult") -> list[str]:
    lines = []
    outcome, backup = result.current_release_number, result.backup_release_number
    if not (result.noop or result.dry_run) and outcome != result.to_release_number:
        lines.append(f"Not all of it was restored: the outcome is release {outcome}.")
    if backup is not None:
        lines.append(f"What was live before is kept as release {backup}.")
    return lines


def _ending(toolset: str, result: "RollbackResult", choices: Sequence[str]) -> str | None:
    """The command that does what was planned, or undoes what was done."""
    if result.noop:
        return None
    if result.dry_run:
        stale_guard = ("--expected-current-release", result.from_release_number or 0)
        return f"Do it: {command_line('rollback', toolset, result.to_release_number, *choices, *stale_guard)}"
    before = result.backup_release_number or result.from_release_number
    if before is None or before == result.current_release_number:
        return None
    shared = [choice for choice in choices if choice == "--allow-shared-impact"]
    return f"Undo it: {command_line('rollback', toolset, before, *shared)}"
