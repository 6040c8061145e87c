"""`release`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from release_worker.cli.options import (
    Actor,
    AsJson,
    ExpectedRelease,
    IdempotencyKey,
    NoWait,
    Organization,
    OverrideFreeze,
    Project,
    Timeout,
    ToolsetOrAll,
    parsed_labels,
)
from release_worker.cli.render import print_json
from release_worker.cli.waiting import DEFAULT_TIMEOUT, answer_to, client_from_environment

Notes = Annotated[str | None, typer.Option(metavar="TEXT", help="What this release is about.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "--labels", metavar="KEY=VALUE", help="A label to find it by; may be repeated."),
]
OnlyIfChanged = Annotated[
    bool, typer.Option("--only-if-changed", help="Make none if nothing differs from the current release.")
]

# Of these options, those that can be meant for every toolset of a project. Others are refused with `--project`.
_OF_ALL = ("actor", "notes", "labels", "override_freeze", "idempotency_key", "organization")
_MEANT_BY_ALL = ("only_if_changed",)


def release(
    actor: Actor,
    toolset: ToolsetOrAll = None,
    project: Project = None,
    notes: Notes = None,
    label: Labels = None,
    only_if_changed: OnlyIfChanged = False,
    expected_current_release: ExpectedRelease = None,
    override_freeze: OverrideFreeze = None,
    organization: Organization = None,
    idempotency_key: IdempotencyKey = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Capture a toolset's whole state as its next release.

    Everything that agents are served through the toolset is kept by value: its tools, resources and settings, the
    project's deployment and system configuration, and all variations. A worker does it; this command waits for it.

    With --project, or with --organization and no TOOLSET, every toolset is released that differs from its current
    release. One that fails does not stop the others; the exit status is then 1. Here --timeout is how long to wait
    without any of them ending. Interrupted and started again, it makes no release twice; with the key that it prints
    when it is interrupted, it waits for the same requests.

    Example: release-worker release acme/payments/billing --notes "build 991"
    """
    from release_worker.cli.bulk import release_all
    from release_worker.cli.outcomes import show_new_release

    asked: dict[str, Any] = {
        "actor": actor,
        "notes": notes,
        "labels": parsed_labels(label),
        "only_if_changed": only_if_changed,
        "expected_current_release": expected_current_release,
        "override_freeze": override_freeze,
        "idempotency_key": idempotency_key,
        "organization": organization,
    }
    if toolset is None or project is not None:
        _check_all_can_be_meant(toolset, project or organization, asked)
        of_all = {"project": project, **{name: asked[name] for name in _OF_ALL}}
        release_all(of_all, timeout=timeout, no_wait=no_wait, as_json=as_json)
        return
    with client_from_environment(waits=not no_wait) as client:
        handle = client.create_release(toolset, **asked)
        result = answer_to(handle, no_wait=no_wait, timeout=timeout, as_json=as_json)
    print_json(result) if as_json else show_new_release(toolset, result)


def _check_all_can_be_meant(toolset: str | None, owner: str | None, asked: Mapping[str, object]) -> None:
    if toolset is not None:
        raise typer.BadParameter("a toolset and --project exclude each other")
    if owner is None:
        raise typer.BadParameter("TOOLSET, --project or --organization must be given")
    for name in asked.keys() - {*_OF_ALL, *_MEANT_BY_ALL}:
        if asked[name] not in (None, False):
            raise typer.BadParameter(f"--{name.replace('_', '-')} needs a TOOLSET")
