"""`staging create`, `staging diff`, `staging publish`, `staging discard`, and `mode`."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from release_worker.cli.failures import DIFFERS
from release_worker.cli.options import (
    Actor,
    AsJson,
    ExpectedRelease,
    IdempotencyKey,
    NoWait,
    Organization,
    OverrideFreeze,
    Timeout,
    ToolsetArgument,
    parsed_labels,
)
from release_worker.cli.releases import Labels, Notes
from release_worker.cli.render import command_line, console, print_json, say
from release_worker.cli.rollbacks import AllChanges
from release_worker.cli.waiting import DEFAULT_TIMEOUT, answer_to, client_from_environment, result_of

if TYPE_CHECKING:
    from release_worker.domain.requests.publish import PublishResult
    from release_worker.queries.diff_staged import StagedDifference

app = typer.Typer(help="Edit a copy of a toolset, and publish it when it is ready.")

Mode = Annotated[
    Literal["iteration", "staging"],
    typer.Argument(metavar="iteration|staging", help="How the toolset is edited: itself, or through its staged copy."),
]


@app.command()
def create(
    toolset: ToolsetArgument,
    actor: Actor,
    organization: Organization = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Make a copy of a toolset to edit, or show the one that is there.

    The copy is a toolset of the same project with the same tools, resources, settings and variations. Whoever uses the
    toolset itself notices nothing until the copy is published.

    Example: release-worker staging create acme/payments/billing
    """
    with client_from_environment(waits=not no_wait) as client:
        handle = client.stage(toolset, actor=actor, organization=organization)
        result = answer_to(handle, no_wait=no_wait, timeout=timeout, as_json=as_json)
    if as_json:
        print_json(result)
        return
    made = "is made" if result.created else "was there already"
    say(f"The staged copy of {toolset} {made}: edit {result.path}")
    say(f"See what is different: {command_line('staging', 'diff', toolset)}")


@app.command()
def diff(
    toolset: ToolsetArgument,
    all_changes: AllChanges = False,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Show what publishing the staged copy would change. Exit status: 0 nothing, 3 something.

    Example: release-worker staging diff acme/payments/billing
    """
    from release_worker.queries.diff_staged import diff_staged
    from release_worker.queries.reading import reading_one_moment
    from release_worker.settings import read_settings
    from release_worker.state.registry import installed_components

    with reading_one_moment(read_settings().database) as connection:
        found = diff_staged(connection, toolset, installed_components(), organization=organization)
    print_json(_document(found)) if as_json else _show_difference(found, every_change=all_changes)
    if found.changes:
        raise typer.Exit(DIFFERS)


@app.command()
def publish(
    toolset: ToolsetArgument,
    actor: Actor,
    notes: Notes = None,
    label: Labels = None,
    expected_current_release: ExpectedRelease = None,
    override_freeze: OverrideFreeze = None,
    organization: Organization = None,
    idempotency_key: IdempotencyKey = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Make what is staged live, and release it, in one step.

    Live edits of the toolset that no release holds are kept in a backup first. In iteration mode the copy is gone then;
    in staging mode it stays for the next edits.

    Example: release-worker staging publish acme/payments/billing --notes "new prompts"
    """
    labels = parsed_labels(label)
    with client_from_environment(waits=not no_wait) as client:
        handle = client.publish(
            toolset,
            actor=actor,
            notes=notes,
            labels=labels,
            expected_current_release=expected_current_release,
            override_freeze=override_freeze,
            idempotency_key=idempotency_key,
            organization=organization,
        )
        result = answer_to(handle, no_wait=no_wait, timeout=timeout, as_json=as_json)
    print_json(result) if as_json else _show_published(toolset, result)


@app.command()
def discard(
    toolset: ToolsetArgument,
    actor: Actor,
    organization: Organization = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Delete the staged copy of a toolset, with all edits in it. The toolset itself is never deleted.

    Example: release-worker staging discard acme/payments/billing
    """
    with client_from_environment(waits=True) as client:
        result = result_of(client.discard(toolset, actor=actor, organization=organization), timeout=timeout)
    print_json(result) if as_json else say(f"The staged copy of {toolset} is deleted: {result.discarded_path}")


def mode(
    toolset: ToolsetArgument,
    mode: Mode,
    actor: Actor,
    organization: Organization = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Say how a toolset is edited.

    In iteration mode, a staged copy is for one change, and publishing discards it. In staging mode, the copy stays.
    That is the only difference.

    Example: release-worker mode acme/payments/billing staging
    """
    with client_from_environment(waits=True) as client:
        result = result_of(client.set_mode(toolset, mode, actor=actor, organization=organization), timeout=timeout)
    print_json(result) if as_json else say(f"{toolset} is in {result.mode} mode.")


def _document(found: "StagedDifference") -> dict[str, Any]:
    return {
        "toolset_id": found.subject.toolset_id,
        "from": "live",
        "to": "staged",
        "same": not found.changes,
        "changes": found.changes,
        "staged_toolset_id": found.copy.toolset_id,
        "staged_path": found.copy.path,
    }


def _show_difference(found: "StagedDifference", *, every_change: bool) -> None:
    from release_worker.cli.changes import SHOWN, change_lines

    if not found.changes:
        say(f"Nothing differs: {found.copy.path} is as {found.subject.path} is live.")
        return
    say(f"From {found.subject.path}, live, to its staged copy {found.copy.path}:", "")
    say(*change_lines(found.changes, limit=None if every_change else SHOWN, width=console().width))
    say("", f"Publish it: {command_line('staging', 'publish', found.subject.path)}")


def _show_published(toolset: str, result: "PublishResult") -> None:
    from release_worker.cli.outcomes import kept, show_new_release, undoing

    show_new_release(toolset, result, overwritten=result.backup_release_number is not None)
    say(*kept(result.backup_release_number))
    say("The staged copy is deleted." if result.discarded else "The staged copy stays for the next edits.")
    say(*undoing(toolset, result))
