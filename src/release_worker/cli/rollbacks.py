"""`rollback` and `repair`: put a toolset back, with the plan before the eyes."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from release_worker.cli.failures import DONE, FAILED
from release_worker.cli.options import (
    Actor,
    AsJson,
    ExpectedRelease,
    IdempotencyKey,
    NoWait,
    Organization,
    OverrideFreeze,
    Reason,
    Timeout,
    ToolsetArgument,
)
from release_worker.cli.render import print_json, say
from release_worker.cli.waiting import DEFAULT_TIMEOUT, answer_to, client_from_environment, result_of
from release_worker.errors import ReleaseWorkerError

if TYPE_CHECKING:
    from release_worker.client import ReleaseClient
    from release_worker.domain.requests.rollback import RollbackResult

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
    bool, typer.Option("--allow-shared-impact", help="Restore shared state even if other toolsets then change too.")
]
AllChanges = Annotated[bool, typer.Option("--all", "--full", help="Show every change, not only the first ones.")]
AllowBad = Annotated[bool, typer.Option("--allow-bad", "--force", help="Go to the release even if it is marked bad.")]
Number = Annotated[int | None, typer.Argument(metavar="[N]", min=1, help="The release's number, as `list` shows it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, also in a terminal.")]


def rollback(
    toolset: ToolsetArgument,
    actor: Actor,
    number: Number = None,
    previous: Annotated[bool, typer.Option("--previous", help="To the release that the current one followed.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="To what was live before the last rollback.")] = False,
    last_good: Annotated[
        bool, typer.Option("--to-last-good", help="To the nearest release before the current one that is not bad.")
    ] = False,
    apply: Annotated[
        str | None, typer.Option("--apply", metavar="PLAN_ID", help="Do exactly this plan, if nothing has moved.")
    ] = None,
    plan: Plan = False,
    yes: Yes = False,
    reason: Reason = None,
    component: Components = None,
    on_missing: OnMissing = "fail",
    allow_shared_impact: AllowSharedImpact = False,
    allow_bad: AllowBad = False,
    expected_current_release: ExpectedRelease = None,
    override_freeze: OverrideFreeze = None,
    organization: Organization = None,
    idempotency_key: IdempotencyKey = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    all_changes: AllChanges = False,
    as_json: AsJson = False,
) -> None:
    """Put a toolset back exactly as it was in release N.

    All or nothing. Live edits that no release holds are kept in a backup release first, so a rollback can be undone;
    the answer says how. In a terminal the plan is shown first, and you are asked.

    Example: release-worker rollback acme/payments/billing 41 --plan
    """
    words = {"previous": previous, "undo": undo, "last_good": last_good}
    to = [word for word, given in words.items() if given]
    _check_one_target(number, to, apply, plan=plan)
    whose: dict[str, Any] = {
        "actor": actor,
        "reason": reason,
        "override_freeze": override_freeze,
        "organization": organization,
        "idempotency_key": idempotency_key,
    }
    options: dict[str, Any] = {
        "release_number": number,
        "to": to[0] if to else None,
        "components": _names(component),
        "on_missing": on_missing,
        "allow_shared_impact": allow_shared_impact,
        "allow_bad": allow_bad,
        "expected_current_release": expected_current_release,
    }
    if apply is not None:
        _check_plan_decides({name: value for name, value in options.items() if name not in ("release_number", "to")})
    with client_from_environment(waits=not no_wait) as client:
        if apply is None and _can_ask(plan, yes, no_wait, as_json, idempotency_key):
            apply = _confirmed(client, toolset, {**whose, **options}, timeout=timeout, every_change=all_changes)
        if apply is not None:
            handle: Any = client.apply_plan(toolset, apply, **whose)
        else:
            handle = client.rollback(toolset, **options, **whose, dry_run=plan)
        with _only_a_plan() if plan else nullcontext():
            result = answer_to(handle, no_wait=no_wait, timeout=timeout, as_json=as_json)
    _show(toolset, result, every_change=all_changes, as_json=as_json, override_freeze=override_freeze)


def repair(
    toolset: ToolsetArgument,
    actor: Actor,
    plan: Plan = False,
    yes: Yes = False,
    reason: Reason = None,
    component: Components = None,
    on_missing: OnMissing = "fail",
    allow_shared_impact: AllowSharedImpact = False,
    override_freeze: OverrideFreeze = None,
    organization: Organization = None,
    idempotency_key: IdempotencyKey = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    all_changes: AllChanges = False,
    as_json: AsJson = False,
) -> None:
    """Put live state back to the current release.

    The release keeps its number. Live edits that no release holds are kept in a backup release first. In a terminal the
    plan is shown first, and you are asked.

    Example: release-worker repair acme/payments/billing --reason "edited by hand"
    """
    options: dict[str, Any] = {
        "actor": actor,
        "reason": reason,
        "components": _names(component),
        "on_missing": on_missing,
        "allow_shared_impact": allow_shared_impact,
        "override_freeze": override_freeze,
        "organization": organization,
    }
    as_rollback = {**options, "to": "current", "allow_bad": True}
    with client_from_environment(waits=not no_wait) as client:
        handle: Any
        if plan:
            handle = client.rollback(toolset, **as_rollback, dry_run=True, idempotency_key=idempotency_key)
        else:
            if _can_ask(yes, no_wait, as_json, idempotency_key):
                _confirmed(client, toolset, as_rollback, timeout=timeout, every_change=all_changes)
            handle = client.repair(toolset, **options, idempotency_key=idempotency_key)
        with _only_a_plan() if plan else nullcontext():
            result = answer_to(handle, no_wait=no_wait, timeout=timeout, as_json=as_json)
    _show(toolset, result, every_change=all_changes, as_json=as_json, override_freeze=override_freeze)


def _check_one_target(number: int | None, words: Sequence[str], apply: str | None, *, plan: bool) -> None:
    """Raises BadParameter."""
    given = [*words, *([] if number is None else [number]), *([] if apply is None else [apply])]
    if len(given) != 1:
        raise typer.BadParameter("name one target: N, --previous, --undo, --to-last-good or --apply PLAN_ID")
    if apply is not None and plan:
        raise typer.BadParameter("--plan makes a new plan; --apply does one that there is")


def _check_plan_decides(options: Mapping[str, object]) -> None:
    """Raises BadParameter for an option that only a new plan could heed."""
    defaults = {"on_missing": "fail", "allow_shared_impact": False, "allow_bad": False}
    given = [name for name, value in options.items() if value not in (None, defaults.get(name))]
    if given:
        named = ", ".join(f"--{name.replace('_', '-').removesuffix('s')}" for name in given)
        raise typer.BadParameter(f"--apply does what the plan said; make a new plan with {named}")


def _names(given: list[str] | None) -> list[str] | None:
    return [name for one in given or () for name in one.split(",")] or None


def _confirmed(
    client: "ReleaseClient", toolset: str, asked: dict[str, Any], *, timeout: float, every_change: bool
) -> str | None:
    """The id of a plan that was shown and agreed to. Ends the command if there is nothing to agree to."""
    with _only_a_plan():
        planned = result_of(client.rollback(toolset, **asked, dry_run=True), timeout=timeout)
    _show(toolset, planned, every_change=every_change, as_json=False, asks=True)
    if planned.noop:
        raise typer.Exit(DONE)
    if not typer.confirm("Do it?"):
        say("Nothing was changed.")
        raise typer.Exit(FAILED)
    return planned.plan_id


def _can_ask(*answered: object) -> bool:
    """Whether there is a person to ask, and none of these options has answered already."""
    return not any(answered) and sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def _only_a_plan() -> Iterator[None]:
    """An error that ends the wait says that only a plan is waited for."""
    try:
        yield
    except ReleaseWorkerError as error:
        error.details["only_a_plan"] = True
        raise


def _show(
    toolset: str,
    result: "RollbackResult",
    *,
    every_change: bool,
    as_json: bool,
    asks: bool = False,
    override_freeze: str | None = None,
) -> None:
    """Print the answer; a plan that would be refused ends the command as the refusal would."""
    from release_worker.cli.outcomes import show_rollback

    if as_json:
        print_json(result)
    else:
        show_rollback(toolset, result, every_change=every_change, asks=asks, override_freeze=override_freeze)
    if result.refused is not None:
        raise typer.Exit(FAILED)
