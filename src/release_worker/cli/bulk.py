"""`release --project` and `release --organization`: every toolset, through the queue, with one summary."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import typer

from release_worker.cli.failures import FAILED
from release_worker.cli.render import command_line, console, count, one_line, print_json, say
from release_worker.cli.waiting import client_from_environment
from release_worker.errors import BrokerUnavailable, ReleaseWorkerError, ResultTimeout, ResultUnavailable

if TYPE_CHECKING:
    from release_worker.client import ReleaseClient, RequestHandle
    from release_worker.domain.requests.create_release import CreateReleaseResult

    Handles = Mapping[str, RequestHandle[CreateReleaseResult]]


@dataclass
class Summary:
    """What has come of the requests so far."""

    released: int = 0
    unchanged: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)

    def add(self, path: str, request_id: str, ended: "CreateReleaseResult | ReleaseWorkerError") -> None:
        """Count one more that has ended."""
        if isinstance(ended, ReleaseWorkerError):
            error = {"type": type(ended).__name__, "message": ended.message}
            self.failed.append({"path": path, **error, "request_id": request_id})
        elif ended.created:
            self.released += 1
        else:
            self.unchanged += 1

    @property
    def in_words(self) -> str:
        return f"{self.released:,} released, {self.unchanged:,} unchanged, {len(self.failed):,} failed"


def release_all(asked: Mapping[str, Any], *, timeout: float, no_wait: bool, as_json: bool) -> None:
    """`asked` is what `ReleaseClient.release_all` takes. Ends with status 1 if a request failed, and with 4 if not all
    are known to have ended; the same key then finds the same requests."""
    key = asked["idempotency_key"] or f"bulk-{uuid4()}"
    summary = Summary()
    with client_from_environment(waits=True) as client, _found_again_by(key, summary):
        handles = client.release_all(**{**asked, "idempotency_key": key})
        if no_wait:
            _show_accepted(handles, key, as_json=as_json)
            return
        _wait_for(client, handles, summary, timeout=timeout)
    if as_json:
        print_json({**vars(summary), "idempotency_key": key})
    else:
        _show(summary, len(handles), asked["project"] or asked["organization"])
    if summary.failed:
        raise typer.Exit(FAILED)


@contextmanager
def _found_again_by(key: str, summary: Summary) -> Iterator[None]:
    """Let the error of a wait that ends early say how far it got, and the key. Until the key is used once more, nothing
    is lost: the requests are in the ledger, all or none."""
    try:
        yield
    except KeyboardInterrupt:
        stopped = f"stopped waiting; so far: {summary.in_words}"
        raise ResultUnavailable(stopped, reason="interrupted", idempotency_key=key) from None
    except (BrokerUnavailable, ResultTimeout, ResultUnavailable) as error:
        error.details["idempotency_key"] = key
        raise


def _wait_for(client: "ReleaseClient", handles: "Handles", summary: Summary, *, timeout: float) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    paths = {handle.id: path for path, handle in handles.items()}
    terminal = console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as progress:
        bar = progress.add_task(summary.in_words, total=len(handles))
        for handle, ended in client.wait(handles.values(), timeout):
            summary.add(paths[handle.id], handle.id, ended)
            progress.update(bar, advance=1, description=summary.in_words)


def _show_accepted(handles: "Handles", key: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"request_ids": [handle.id for handle in handles.values()], "idempotency_key": key})
        return
    follow = command_line("requests", "list", "--limit", max(len(handles), 1))
    say(f"{count(len(handles), 'request')} accepted under the key {one_line(key)}. Follow them: {follow}")


def _show(summary: Summary, asked: int, owner: str) -> None:
    say(f"{count(asked, 'toolset')} of {one_line(owner)}: {summary.in_words}.")
    for failed in sorted(summary.failed, key=lambda one: one["path"]):
        what = one_line(f"{failed['type']}: {failed['message']}", 500)
        say(f"failed  {one_line(failed['path'], 600)}  {what} (request {failed['request_id']})")
