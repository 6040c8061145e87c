"""What a release or a rollback came to, in words."""

from typing import TYPE_CHECKING

from release_worker.cli.changes import SHOWN, change_lines
from release_worker.cli.render import command_line, console, listed, one_line, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from release_worker.domain.requests.create_release import CreateReleaseResult
    from release_worker.domain.requests.import_bundle import ImportBundleResult
    from release_worker.domain.requests.publish import PublishResult
    from release_worker.domain.requests.rollback import RollbackResult


def show_new_release(toolset: str, result: "CreateReleaseResult", *, overwritten: bool = False) -> None:
    """That a release was made, or that none was needed; `overwritten`: as live edits gave way to the current one."""
    number = result.release_number
    if result.created:
        say(f"Release {number} of {toolset} was made, and is current.")
    elif overwritten:
        say(f"{toolset} is again as its current release {number}, so that no new release was needed.")
    else:
        say(f"Nothing has changed since release {number} of {toolset}, which stays current.")
    say(f"toolset version {result.toolset_version}, digest {result.digest}")


def show_rollback(
    toolset: str,
    result: "RollbackResult",
    *,
    every_change: bool = False,
    asks: bool = False,
    override_freeze: str | None = None,
) -> None:
    """What was or would be restored. `asks`: whoever reads it is asked next whether to do it; `override_freeze`: what
    the plan was asked for with."""
    limit = None if every_change else SHOWN
    say(_headline(toolset, result), *_outcome(result))
    if result.changes:
        say("", *change_lines(result.changes, limit=limit, width=console().width))
    if result.affected:
        would = "would serve" if result.dry_run else "serve"
        say("", f"Other toolsets that {would} something else: {len(result.affected)}")
        named = listed([f"{one['path']}: {', '.join(one['components'])}" for one in result.affected], limit)
        say(*(f"  {line}" for line in named))
    if missing := [urn for urns in (result.missing or {}).values() for urn in urns]:
        say("", f"Nothing would provide these: {len(missing)}", *(f"  {line}" for line in listed(missing, limit)))
    if result.warnings:
        say("", *(f"warning: {line}" for line in listed(result.warnings, limit)))
    if result.refused is not None:
        say("", *_refused(result.refused))
    elif (ending := _ending(toolset, result, override_freeze)) and not asks:
        say("", ending)


def _refused(refused: "Mapping[str, Any]") -> list[str]:
    """The refusal in one sentence, and what to do about it."""
    from release_worker.cli.failures import advice
    from release_worker.errors import from_record

    error = from_record(refused)
    return [f"Would be refused: {one_line(error.message, 500)} ({refused['type']}).", *advice(error)]


def kept(backup: int | None) -> list[str]:
    """Where live edits are that no release held."""
    return [] if backup is None else [f"What was live before is kept as release {backup}."]


def undoing(toolset: str, result: "PublishResult | ImportBundleResult", *, reaches_others: bool = False) -> list[str]:
    """How a publication or an import is taken back, if it changed anything. Undoing it reaches whom it reached."""
    backup = result.backup_release_number
    if backup is None and (not result.created or result.release_number == 1):
        return []
    shared = ["--allow-shared-impact"] if reaches_others else []
    return ["", f"Undo it: {command_line('rollback', toolset, backup or '--previous', *shared)}"]


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


def _outcome(result: "RollbackResult") -> list[str]:
    lines = []
    outcome = result.current_release_number
    if not (result.noop or result.dry_run) and outcome != result.to_release_number:
        lines.append(f"Not all of it was restored: the outcome is release {outcome}.")
    return [*lines, *kept(result.backup_release_number)]


def _ending(toolset: str, result: "RollbackResult", override_freeze: str | None) -> str | None:
    """The command that does what was planned, or undoes what was done."""
    if result.noop:
        return None
    if result.dry_run:
        override = [] if override_freeze is None else ["--override-freeze", override_freeze]
        return f"Do it: {command_line('rollback', toolset, '--apply', str(result.plan_id), *override)}"
    if not result.changes:
        return None
    before = result.backup_release_number or result.from_release_number
    if before is None or before == result.current_release_number:
        return None
    shared = ["--allow-shared-impact"] if result.affected else []  # undoing it reaches them again
    return f"Undo it: {command_line('rollback', toolset, before, *shared)}"
