"""Ask a worker, and wait for its answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import typer

from release_worker.cli.failures import DONE
from release_worker.cli.render import command_line, console, print_json, say
from release_worker.errors import NotConfigured, ReleaseWorkerError, ResultUnavailable

if TYPE_CHECKING:
    from release_worker.client import ReleaseClient, RequestHandle
    from release_worker.domain.requests.request import Result

R = TypeVar("R", bound="Result")
DEFAULT_TIMEOUT = 60.0  # seconds


@contextmanager
def client_from_environment(*, waits: bool) -> Iterator["ReleaseClient"]:
    """A client for `RELEASE_WORKER_…`. Raises NotConfigured, also if it could ask but not wait for the answer."""
    from release_worker.client import ReleaseClient
    from release_worker.settings import read_settings

    settings = read_settings()
    settings.require("broker_url")
    if waits and settings.database_url is None and settings.result_backend is None:
        message = (
            "to wait for a result, set RELEASE_WORKER_DATABASE_URL or RELEASE_WORKER_RESULT_BACKEND, or use --no-wait"
        )
        raise NotConfigured(message, setting="RELEASE_WORKER_DATABASE_URL")
    with ReleaseClient.from_env() as client:
        yield client


def answer_to(handle: "RequestHandle[R]", *, no_wait: bool, timeout: float, as_json: bool) -> R:
    """The request's result, as `result_of`. With `--no-wait`, ends the command after saying that it is accepted."""
    if no_wait:
        show_accepted(handle, as_json=as_json)
        raise typer.Exit(DONE)
    return result_of(handle, timeout=timeout)


def result_of(handle: "RequestHandle[R]", *, timeout: float) -> R:
    """The request's result. Raises its error, ResultTimeout, or ResultUnavailable also on Ctrl-C; each names the
    request."""
    waiting = console(stderr=True)
    try:
        if not waiting.is_terminal:
            return handle.result(timeout)
        with waiting.status(f"Waiting for a worker to do request {handle.id}"):
            return handle.result(timeout)
    except ReleaseWorkerError as error:
        error.details.setdefault("request_id", handle.id)
        raise
    except KeyboardInterrupt:
        stopped = f"stopped waiting for request {handle.id}"
        raise ResultUnavailable(stopped, request_id=handle.id, reason="interrupted") from None


def show_accepted(handle: "RequestHandle[R]", *, as_json: bool) -> None:
    """What `--no-wait` prints."""
    if as_json:
        print_json({"request_id": handle.id})
        return
    say(f"Request {handle.id} is accepted. Follow it: {command_line('requests', 'show', handle.id)}")
