"""`export` and `import`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_worker.cli.options import (
    Actor,
    AsJson,
    ExpectedRelease,
    IdempotencyKey,
    NoWait,
    NumberArgument,
    Organization,
    OverrideFreeze,
    Timeout,
    ToolsetArgument,
    checked_toolset,
    parsed_labels,
)
from release_worker.cli.releases import Labels, Notes
from release_worker.cli.render import console, count, one_line, print_json, say
from release_worker.cli.rollbacks import AllChanges, AllowSharedImpact
from release_worker.cli.waiting import DEFAULT_TIMEOUT, answer_to, client_from_environment

if TYPE_CHECKING:
    from release_worker.domain.requests.import_bundle import ImportBundleResult

FileToWrite = Annotated[
    Path, typer.Argument(metavar="FILE", dir_okay=False, help="Where to write it; a file that is there is replaced.")
]
FileToRead = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="What `export` wrote.")
]
Into = Annotated[
    str,
    typer.Option(
        "--into",
        metavar="TOOLSET",
        help="The toolset that gets it, as organization/project/toolset or by its UUID. It must be there.",
        callback=checked_toolset,
    ),
]


def export_release(
    toolset: ToolsetArgument,
    number: NumberArgument,
    file: FileToWrite,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Write release N to a file that holds all of it.

    The file is JSON that any program can read and check; docs/bundles.md describes it. It holds every value as it is,
    secrets too, and only its owner may read it (mode 0600).

    Example: release-worker export acme/payments/billing 41 billing-41.json
    """
    from release_worker.queries.export_bundle import export_bundle
    from release_worker.queries.reading import reading_records
    from release_worker.settings import read_settings
    from release_worker.state.registry import installed_components

    with reading_records(read_settings().database) as connection:
        manifest, text = export_bundle(connection, toolset, number, installed_components(), organization=organization)
    size = _write_privately(file, f"{text}\n".encode())
    if as_json:
        print_json({"file": str(file), "release_number": number, "digest": manifest.digest})
        return
    say(f"Release {number} of {manifest.release.toolset} is in {one_line(str(file))}: {count(size, 'byte')}.")
    say(f"digest {manifest.digest}", "It holds every value as it is, secrets too.")


def import_release(
    file: FileToRead,
    into: Into,
    actor: Actor,
    notes: Notes = None,
    label: Labels = None,
    allow_shared_impact: AllowSharedImpact = False,
    expected_current_release: ExpectedRelease = None,
    override_freeze: OverrideFreeze = None,
    organization: Organization = None,
    idempotency_key: IdempotencyKey = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    all_changes: AllChanges = False,
    as_json: AsJson = False,
) -> None:
    """Make what such a file holds live, and release it.

    All of it, exactly, or nothing. The toolset must be there; make an empty one first if it is not. What is live is
    overwritten, with the project's deployment, prompts and configuration and the organization's variations; edits that
    no release holds are kept in a backup first. A file that was changed is refused.

    Example: release-worker import billing-41.json --into acme/staging/billing
    """
    labels = parsed_labels(label)
    bundle = file.read_bytes()
    with client_from_environment(waits=not no_wait) as client:
        handle = client.import_bundle(
            into,
            bundle,
            actor=actor,
            notes=notes,
            labels=labels,
            allow_shared_impact=allow_shared_impact,
            expected_current_release=expected_current_release,
            override_freeze=override_freeze,
            idempotency_key=idempotency_key,
            organization=organization,
        )
        result = answer_to(handle, no_wait=no_wait, timeout=timeout, as_json=as_json)
    print_json(result) if as_json else _show_imported(into, result, every_change=all_changes)


def _write_privately(file: Path, content: bytes) -> int:
    """Write a file that only its owner may read, all of it or nothing; its size. Raises typer.BadParameter."""
    written: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False) as opened:
            written = Path(opened.name)
            opened.write(content)  # such a file has mode 0600
        written.replace(file)
    except OSError as error:
        if written is not None:
            written.unlink(missing_ok=True)
        raise typer.BadParameter(f"cannot be written: {error.strerror}", param_hint="FILE") from None
    return len(content)


def _show_imported(toolset: str, result: "ImportBundleResult", *, every_change: bool) -> None:
    from release_worker.cli.changes import SHOWN, change_lines
    from release_worker.cli.outcomes import kept, show_new_release, undoing

    show_new_release(toolset, result, overwritten=result.backup_release_number is not None)
    say(*kept(result.backup_release_number))
    if result.changes:
        say("", *change_lines(result.changes, limit=None if every_change else SHOWN, width=console().width))
    if result.warnings:
        say("", *(f"warning: {one_line(line, 500)}" for line in result.warnings))
    say(*undoing(toolset, result, reaches_others=bool(result.warnings)))
