"""`release`, `rollback`, `list`, `show`."""

from typing import Annotated, Literal

import typer

from release_worker.cli.options import (
    Actor,
    AsJson,
    ExpectedRelease,
    IdempotencyKey,
    NoWait,
    NumberArgument,
    Organization,
    Reason,
    Timeout,
    ToolsetArgument,
    parsed_labels,
)
from release_worker.cli.render import print_json
from release_worker.cli.waiting import DEFAULT_TIMEOUT, client_from_environment, result_of, show_accepted

Notes = Annotated[str | None, typer.Option(metavar="TEXT", help="What this release is about.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "--labels", metavar="KEY=VALUE", help="A label to find it by; may be repeated."),
]
OnlyIfChanged = Annotated[
    bool, typer.Option("--only-if-changed", help="Make none if nothing differs from the current release.")
]
Plan = Annotated[
    bool,
    typer.Option(
        "--plan",
        "--dry-run",
        help="Only show what would change; change nothing. Waits its turn in the toolset's queue.",
    ),
]
Components = Annotated[
    list[str] | None,
    typer.Option(
        "--component",
        "--components",
        metavar="NAME",
        help="Restore only this; may be repeated, or several joined by commas. One of tools, resources, settings, "
        "deployment, system, global_variations, toolset_variations. All of them by default.",
    ),
]
OnMissing = Annotated[
    Literal["fail", "skip", "recreate"],
    typer.Option(
        help="When a tool or resource of the release would have no definition any more: fail and change nothing, "
        "skip it, or recreate its definition from the release."
    ),
]
AllowSharedImpact = Annotated[
    bool, typer.Option("--allow-shared-impact", help="Restore shared state even where other toolsets then change too.")
]
AllChanges = Annotated[bool, typer.Option("--all", help="Show every change, not only the first ones.")]


def release(
    toolset: ToolsetArgument,
    actor: Actor,
    notes: Notes = None,
    label: Labels = None,
    only_if_changed: OnlyIfChanged = False,
    expected_current_release: ExpectedRelease = None,
    organization: Organization = None,
    idempotency_key: IdempotencyKey = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Capture a toolset's whole state as its next release.

    Everything that agents are served through the toolset is kept by value: its tools, resources and settings, the
    project's deployment and system configuration, and all variations. A worker does it; this command waits for it.
    """
    from release_worker.cli.outcomes import show_new_release

    labels = parsed_labels(label)
    with client_from_environment(waits=not no_wait) as client:
        handle = client.create_release(
            toolset,
            actor=actor,
            notes=notes,
            labels=labels,
            only_if_changed=only_if_changed,
            expected_current_release=expected_current_release,
            idempotency_key=idempotency_key,
            organization=organization,
        )
        if no_wait:
            show_accepted(handle, as_json=as_json)
            return
        result = result_of(handle, timeout=timeout)
    print_json(result) if as_json else show_new_release(toolset, result)


def rollback(
    toolset: ToolsetArgument,
    number: NumberArgument,
    actor: Actor,
    plan: Plan = False,
    reason: Reason = None,
    component: Components = None,
    on_missing: OnMissing = "fail",
    allow_shared_impact: AllowSharedImpact = False,
    expected_current_release: ExpectedRelease = None,
    organization: Organization = None,
    idempotency_key: IdempotencyKey = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    all_changes: AllChanges = False,
    as_json: AsJson = False,
) -> None:
    """Put a toolset back exactly as it was in release N.

    All or nothing. Live edits that no release holds are kept in a backup release first, so a rollback can be undone;
    the answer says how. Try it with --plan before.
    """
    from release_worker.cli.outcomes import show_rollback

    component = [name for given in component or () for name in given.split(",")]
    with client_from_environment(waits=not no_wait) as client:
        handle = client.rollback(
            toolset,
            number,
            actor=actor,
            reason=reason,
            components=component or None,
            on_missing=on_missing,
            allow_shared_impact=allow_shared_impact,
            expected_current_release=expected_current_release,
            dry_run=plan,
            idempotency_key=idempotency_key,
            organization=organization,
        )
        if no_wait:
            show_accepted(handle, as_json=as_json)
            return
        result = result_of(handle, timeout=timeout)
    if as_json:
        print_json(result)
    else:
        choices = _repeated(component, on_missing, allow_shared_impact)
        show_rollback(toolset, result, choices=choices, every_change=all_changes)


def _repeated(components: list[str] | None, on_missing: str, allow_shared_impact: bool) -> list[str]:
    """The options of a plan that the command which does it has to repeat."""
    choices = [part for name in components or () for part in ("--component", name)]
    choices += ["--on-missing", on_missing] if on_missing != "fail" else []
    choices += ["--allow-shared-impact"] if allow_shared_impact else []
    return choices


def list_releases(
    toolset: ToolsetArgument,
    limit: Annotated[int, typer.Option(min=1, metavar="COUNT", help="How many, from the newest.")] = 20,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """List a toolset's releases, the newest first."""
    from release_worker.cli.history import history_document, show_history
    from release_worker.queries.history import release_history
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings

    with reading(read_settings().require("database_url")) as connection:
        history = release_history(connection, toolset, limit=limit, organization=organization)
    print_json(history_document(history)) if as_json else show_history(history)


def show_release(
    toolset: ToolsetArgument,
    number: NumberArgument,
    all_tools: Annotated[bool, typer.Option("--all", help="List every tool, not only the first ones.")] = False,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Show everything about one release."""
    from release_worker.cli.history import description_document, show_description
    from release_worker.queries.history import describe_release
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings

    with reading(read_settings().require("database_url")) as connection:
        description = describe_release(connection, toolset, number, organization=organization)
    if as_json:
        print_json(description_document(description))
    else:
        show_description(description, every_tool=all_tools)
