"""`drift --organization`: the workers check every toolset, and the ledger keeps what they find."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from release_worker.cli.failures import DIFFERS, FAILED
from release_worker.cli.render import console, count, one_line, print_json, say
from release_worker.cli.waiting import client_from_environment
from release_worker.errors import ReleaseWorkerError

if TYPE_CHECKING:
    from release_worker.queries.toolsets import ListedToolset


def drift_of_all(organization: str, *, actor: str, timeout: float, as_json: bool) -> None:
    """Ask for a check of each toolset, wait for all, and sum up. What fails of one leaves the others alone."""
    from release_worker.queries.reading import reading
    from release_worker.queries.toolsets import list_toolsets
    from release_worker.settings import read_settings

    with reading(read_settings().database) as connection:
        listed = list_toolsets(connection, organization=organization)
    found = _checked(listed, organization, actor=actor, timeout=timeout)
    print_json(found) if as_json else _show(organization, found)
    if found["failed"]:
        raise typer.Exit(FAILED)
    if found["drifted"]:
        raise typer.Exit(DIFFERS)


def _checked(listed: "Sequence[ListedToolset]", organization: str, *, actor: str, timeout: float) -> dict[str, Any]:
    """`{checked, same, drifted: [{path, components}], failed: [{path, type, message}]}`."""
    asked, drifted, failed = [], [], []
    with client_from_environment(waits=True) as client, console(stderr=True).status("Asking …") as status:
        for one in listed:
            try:
                handle = client.check_drift(str(one.id), actor=actor, organization=organization)
            except ReleaseWorkerError as error:
                failed.append(_failure(one.path, error))
            else:
                asked.append((one.path, handle))
        for number, (path, handle) in enumerate(asked):
            status.update(f"Checked {number:,} of {count(len(asked), 'toolset')}")
            try:
                result = handle.result(timeout)
            except ReleaseWorkerError as error:
                failed.append(_failure(path, error))
            else:
                if result.drifted:
                    drifted.append({"path": path, "components": list(result.changes)})
    checked = len(listed) - len(failed)
    return {"checked": checked, "same": checked - len(drifted), "drifted": drifted, "failed": failed}


def _failure(path: str, error: ReleaseWorkerError) -> dict[str, str]:
    return {"path": path, "type": type(error).__name__, "message": error.message}


def _show(organization: str, found: dict[str, Any]) -> None:
    say(*(f"{one['path']} has drifted: {_components(one['components'])}" for one in found["drifted"]))
    say(*(f"{one['path']} failed: {one['type']}: {one_line(one['message'], 500)}" for one in found["failed"]))
    checked, drifted = count(found["checked"], "toolset"), f"{len(found['drifted']):,} drifted"
    say(
        f"{checked} of {one_line(organization)} checked: {found['same']:,} as released, {drifted}, "
        f"{len(found['failed']):,} failed."
    )


def _components(names: Sequence[str]) -> str:
    return ", ".join(map(one_line, names)) or "no release holds its live state"
