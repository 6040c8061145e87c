"""`verify`: is what is stored still what was released?"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_worker.cli.failures import FAILED
from release_worker.cli.options import AsJson, Organization, ToolsetOrAll
from release_worker.cli.render import console, count, one_line, print_json, say

if TYPE_CHECKING:
    from release_worker.domain.requests.verify import VerifyResult
    from release_worker.queries.verify_all import Verified

All = Annotated[bool, typer.Option("--all", help="Verify every toolset, also deleted ones.")]


def verify(
    toolset: ToolsetOrAll = None,
    every: All = False,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Recompute every digest of a toolset's history, and follow its numbers and predecessors.

    Exit status 1 if anything stored is not what it was; release and component are named.

    Example: release-worker verify acme/payments/billing
    """
    if every == (toolset is not None):
        raise typer.BadParameter("name a TOOLSET, or ask for --all")
    whole = _verify_all(organization, as_json=as_json) if toolset is None else _verify(toolset, organization, as_json)
    if not whole:
        raise typer.Exit(FAILED)


def _verify(toolset: str, organization: str | None, as_json: bool) -> bool:
    from release_worker.cli.answers import answered
    from release_worker.domain.requests.verify import VerifyResult

    result = answered(VerifyResult, "verify", toolset=toolset, organization=organization)
    print_json(result) if as_json else _show(toolset, result)
    return not result.mismatches


def _verify_all(organization: str | None, *, as_json: bool) -> bool:
    from release_worker.queries.verify_all import verify_all
    from release_worker.settings import read_settings

    toolsets, releases, mismatches = 0, 0, []
    with _progress(verify_all(read_settings().database, organization=organization)) as verified:
        for one in verified:
            toolsets += 1
            releases += one.result.releases
            mismatches += [{"path": one.path, **wrong} for wrong in one.result.mismatches]
            if not as_json and (one.result.mismatches or one.result.warnings):
                _show(one.path, one.result)
    if as_json:
        print_json({"toolsets": toolsets, "releases": releases, "mismatches": mismatches})
    else:
        found = "all as released" if not mismatches else count(len(mismatches), "mismatch", "mismatches")
        say(f"{count(toolsets, 'toolset')}, {count(releases, 'release')}: {found}.")
    return not mismatches


@contextmanager
def _progress(verified: Iterable["Verified"]) -> Iterator[Iterable["Verified"]]:
    """On a terminal, how far it is."""
    terminal = console(stderr=True)
    if not terminal.is_terminal:
        yield verified
        return
    with terminal.status("Verifying …") as status:

        def told() -> Iterator["Verified"]:
            for number, one in enumerate(verified, 1):
                status.update(f"Verified {number:,} of {count(one.toolsets, 'toolset')}: {one_line(one.path)}")
                yield one

        yield told()


def _show(path: str, result: "VerifyResult") -> None:
    looked_at = f"{count(result.releases, 'release')}, {count(result.parts, 'part')}"
    if result.mismatches:
        say(f"{path}: {looked_at}, {count(len(result.mismatches), 'mismatch', 'mismatches')}")
        say(*(f"  {_mismatch(one)}" for one in result.mismatches))
    else:
        say(f"{path}: {looked_at}: all as released.")
    say(*(f"  warning: {one_line(line, 500)}" for line in result.warnings))


def _mismatch(one: Mapping[str, Any]) -> str:
    """`release 3: source_state (deployment, system): stored 0123…, computed 4567…`."""
    release = "" if one["release_number"] is None else f"release {one['release_number']}: "
    components = f" ({', '.join(one['components'])})" if one["components"] else ""
    sides = ", ".join(f"{side} {one_line(str(one[side] or 'nothing'))}" for side in ("stored", "computed"))
    return f"{release}{one_line(str(one['object']))}{components}: {sides}"
