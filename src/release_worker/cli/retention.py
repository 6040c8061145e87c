"""`prune`, `pin`, `unpin`, `mark`."""

from typing import Annotated, Literal

import typer

from release_worker.cli.options import (
    Actor,
    AsJson,
    NoWait,
    NumberArgument,
    Organization,
    Reason,
    Timeout,
    ToolsetArgument,
)
from release_worker.cli.render import listed, print_json, say
from release_worker.cli.waiting import DEFAULT_TIMEOUT, answer_to, client_from_environment, result_of

Keep = Annotated[int, typer.Option(min=1, metavar="COUNT", help="How many of the newest releases stay in any case.")]


def prune(
    toolset: ToolsetArgument,
    keep: Keep,
    actor: Actor,
    organization: Organization = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Remove old releases that nothing needs.

    Besides the newest ones, the current release stays, and pinned ones, and those that a rollback, a waiting request or
    a schedule names. What is left keeps its number and can be restored as before.

    Example: release-worker prune acme/payments/billing --keep 50
    """
    with client_from_environment(waits=not no_wait) as client:
        handle = client.prune(toolset, keep=keep, actor=actor, organization=organization)
        result = answer_to(handle, no_wait=no_wait, timeout=timeout, as_json=as_json)
    if as_json:
        print_json(result)
    elif result.pruned:
        numbers = ", ".join(listed([str(number) for number in result.pruned], 20))
        say(f"Removed {len(result.pruned)} releases of {toolset}: {numbers}. {result.kept} are left.")
    else:
        say(f"Nothing to remove: all {result.kept} releases of {toolset} are needed.")


def pin(
    toolset: ToolsetArgument,
    number: NumberArgument,
    actor: Actor,
    organization: Organization = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Keep release N for good: `prune` leaves it alone.

    Example: release-worker pin acme/payments/billing 41
    """
    _set_pinned(toolset, number, actor, organization, timeout, pinned=True, as_json=as_json)


def unpin(
    toolset: ToolsetArgument,
    number: NumberArgument,
    actor: Actor,
    organization: Organization = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Let `prune` remove release N again, when it is old.

    Example: release-worker unpin acme/payments/billing 41
    """
    _set_pinned(toolset, number, actor, organization, timeout, pinned=False, as_json=as_json)


def _set_pinned(
    toolset: str, number: int, actor: str, organization: str | None, timeout: float, *, pinned: bool, as_json: bool
) -> None:
    with client_from_environment(waits=True) as client:
        handle = client.pin(toolset, number, actor=actor, pinned=pinned, organization=organization)
        result = result_of(handle, timeout=timeout)
    if as_json:
        print_json(result)
    else:
        say(f"Release {result.release_number} of {toolset} is {'pinned' if pinned else 'no longer pinned'}.")


def mark(
    toolset: ToolsetArgument,
    number: NumberArgument,
    judgement: Annotated[Literal["good", "bad"], typer.Argument(metavar="good|bad", help="What the release is.")],
    actor: Actor,
    reason: Reason = None,
    organization: Organization = None,
    timeout: Timeout = DEFAULT_TIMEOUT,
    as_json: AsJson = False,
) -> None:
    """Say that release N is good or bad, and why.

    A rollback to a bad release is refused, unless it is forced; `prune` keeps the newest good release.

    Example: release-worker mark acme/payments/billing 41 bad --reason "refunds twice"
    """
    with client_from_environment(waits=True) as client:
        handle = client.mark(toolset, number, judgement, actor=actor, reason=reason, organization=organization)
        result = result_of(handle, timeout=timeout)
    if as_json:
        print_json(result)
    else:
        say(f"Release {result.release_number} of {toolset} is marked {result.mark}.")
