"""`requests list|show|retry|cancel|sweep`: what was asked for, how far it is, another try, and no try at all."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from release_worker.cli.log import LONGEST_ID
from release_worker.cli.options import Actor, AsJson, Organization, Reason, ToolsetOption
from release_worker.cli.outcomes import show_new_release, show_rollback
from release_worker.cli.render import (
    command_line,
    exact_moment,
    facts,
    is_narrow,
    moment,
    one_line,
    print_json,
    say,
    several_lines,
    show_table,
    table,
)
from release_worker.cli.waiting import client_from_environment, show_accepted

if TYPE_CHECKING:
    from release_worker.domain.request_record import RequestRecord

STYLES = {"succeeded": "green", "failed": "red", "running": "yellow", "queued": ""}
# The fields of a payload that other lines show already.
SHOWN_ABOVE = ("toolset", "actor", "release_number", "dry_run")


class Status(StrEnum):
    """What a request can be."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


RequestId = Annotated[str, typer.Argument(metavar="ID", help="The request's id; it is the Celery task's id too.")]

app = typer.Typer(help="Look at what was asked of the workers, retry or cancel it.")


@app.command("list")
def list_requests(
    toolset: ToolsetOption = None,
    status: Annotated[
        list[Status] | None,
        typer.Option(help="Only those in this status; may be repeated."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="COUNT", help="How many, from the newest.")] = 20,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """List requests, the newest first.

    Example: release-worker requests list --toolset acme/payments/billing --status failed
    """
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings
    from release_worker.store.owners.naming import find_toolset
    from release_worker.store.requests import list_requests

    with reading(read_settings().database) as connection:
        asked = None if toolset is None else find_toolset(connection, toolset, organization=organization)
        records = list_requests(
            connection,
            toolset_id=None if asked is None else asked.toolset_id,
            organization=organization,
            statuses=status or (),
            limit=limit,
        )
    if as_json:
        print_json(records)
    elif records:
        show_table(_table(records))
    else:
        say("There are no such requests." if toolset or status else "There are no requests yet.")


@app.command("show")
def show_request(
    request_id: RequestId,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Show one request: what was asked, how far it is, and its result or error.

    Example: release-worker requests show 0199f0e0-7d1c-7cc3-98c4-dc0c0c07398f
    """
    from release_worker.queries.find_request import find_request
    from release_worker.queries.reading import reading
    from release_worker.settings import read_settings

    with reading(read_settings().database) as connection:
        record = find_request(connection, request_id, organization=organization)
    if as_json:
        print_json(record)
        return
    show_table(facts(_facts(record)))
    _show_result(record)


@app.command()
def retry(request_id: RequestId, organization: Organization = None, as_json: AsJson = False) -> None:
    """Bring a failed request back, as if it had just been asked.

    Example: release-worker requests retry 0199f0e0-7d1c-7cc3-98c4-dc0c0c07398f
    """
    with client_from_environment(waits=True) as client:
        handle = client.retry(request_id, organization=organization)
    show_accepted(handle, as_json=as_json)


@app.command()
def cancel(
    request_id: RequestId,
    actor: Actor,
    reason: Reason = None,
    organization: Organization = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a request that is queued; it then fails with RequestCancelled.

    One that is running or has ended is left alone, and the command fails. `requests retry` brings a cancelled request
    back. Whoever may retry may cancel: an app's own database role may not.

    \b
    Example:
      release-worker requests cancel ID --actor alice --reason "wrong branch"
    """
    with client_from_environment(waits=True) as client:
        client.cancel(request_id, actor=actor, reason=reason, organization=organization)
    if as_json:
        print_json({"request_id": request_id})
    else:
        bring_back = command_line("requests", "retry", one_line(request_id))
        say(f"Request {one_line(request_id)} is cancelled. Bring it back: {bring_back}")


@app.command()
def sweep(as_json: AsJson = False) -> None:
    """Publish again what the broker has lost, and give up what has no attempts left.

    A request counts as lost only after it has waited for 15 seconds. Beat sweeps all the time. Exit status 1 if the
    broker cannot be reached.

    Example: release-worker requests sweep
    """
    with client_from_environment(waits=True) as client:
        swept = client.sweep()
    ids = {"published": swept.published, "exhausted": swept.exhausted, "refused": swept.refused}
    if as_json:
        print_json(ids)
    else:
        say("Published again: {}. Out of attempts: {}. Not valid as requests: {}.".format(*map(len, ids.values())))


def _table(records: "list[RequestRecord]") -> Table:
    """One line a request; two in a narrow terminal, so that ids stay whole in 80 columns."""
    if is_narrow():
        return _narrow_table(records)
    rows = (
        (
            moment(record.created_at),
            Text(record.status, style=STYLES[record.status]),
            one_line(record.id),
            " ".join(filter(None, (_asked(record), _error_type(record)))),
            one_line(record.requested_by, 20),
            _toolset(record),
        )
        for record in records
    )
    columns = ("created (UTC)", "status", "request", "what", "by", "toolset")
    return table(*columns, rows=rows, elastic=("what", "by"))


def _narrow_table(records: "list[RequestRecord]") -> Table:
    rows = (
        (
            Text.assemble(moment(record.created_at), "\n", (record.status, STYLES[record.status])),
            f"{one_line(record.id)}\n{_toolset(record)}",
            f"{_asked(record)}\n{_error_type(record)}",
        )
        for record in records
    )
    columns = ("created (UTC)\nstatus", "request\ntoolset", "what")
    made = table(*columns, rows=rows, elastic=("what",))
    made.columns[1].min_width = made.columns[1].max_width = LONGEST_ID
    return made


def _asked(record: "RequestRecord") -> str:
    """`release`, `rollback to 3`, `plan to 3`."""
    if record.kind == "create_release":
        return "release"
    if record.kind == "rollback":
        word = "plan" if record.payload.get("dry_run") is True else "rollback"
        return f"{word} to {record.payload.get('release_number') or record.payload.get('to', '?')}"
    return record.kind.replace("_", " ")


def _toolset(record: "RequestRecord") -> str:
    refused = record.payload.get("refused")
    given = record.payload if not isinstance(refused, Mapping) else refused
    return one_line(str(given.get("toolset", "?")), 600)


def _error_type(record: "RequestRecord") -> str:
    return "" if record.error is None else one_line(str(record.error.get("type", "")))


def _facts(record: "RequestRecord") -> list[tuple[str, str | None]]:
    waits = None if record.next_attempt_at is None else exact_moment(record.next_attempt_at)
    running = record.status == "running"
    asked = {name: value for name, value in record.payload.items() if name not in SHOWN_ABOVE}
    return [
        ("request", one_line(record.id)),
        ("what", _asked(record)),
        ("toolset", _toolset(record)),
        ("status", record.status),
        ("attempts", str(record.attempts)),
        ("worker", one_line(record.worker) if running and record.worker else None),
        ("next attempt", waits),
        ("asked by", one_line(record.requested_by)),
        ("created", exact_moment(record.created_at)),
        ("took", _took(record)),
        ("idempotency key", record.idempotency_key and one_line(record.idempotency_key)),
        *((name.replace("_", " "), _value(value)) for name, value in asked.items() if value not in (None, False)),
        ("error" if record.status == "failed" else "last error", _error(record)),
    ]


def _value(value: object) -> str:
    from release_worker.domain import canonical_json

    return several_lines(value) if isinstance(value, str) else canonical_json.dumps(value)


def _took(record: "RequestRecord") -> str | None:
    """From being asked to being done, the wait included."""
    if record.finished_at is None:
        return None
    return f"{(record.finished_at - record.created_at).total_seconds():.2f} s"


def _error(record: "RequestRecord") -> str | None:
    if record.error is None:
        return None
    return f"{_error_type(record)}: {one_line(str(record.error.get('message', '')), 1000)}"


def _show_result(record: "RequestRecord") -> None:
    from release_worker.domain.requests.create_release import CreateReleaseResult
    from release_worker.domain.requests.rollback import RollbackResult

    if record.status == "succeeded":
        say("")
        result = record.answer()
        if isinstance(result, CreateReleaseResult):
            show_new_release(_toolset(record), result)
        elif isinstance(result, RollbackResult):
            show_rollback(_toolset(record), result, override_freeze=record.payload.get("override_freeze"))
        else:
            from release_worker.domain import canonical_json

            say(canonical_json.dumps(dict(record.result or {})))
    elif record.status == "queued":
        say("", _waits_for(record))


def _waits_for(record: "RequestRecord") -> str:
    from release_worker.settings import read_settings

    if record.next_attempt_at is not None and record.next_attempt_at > datetime.now(UTC):
        return f"It is tried again at {exact_moment(record.next_attempt_at)}."
    if record.attempts:
        return "It is due to be tried again."
    if read_settings().database_url is not None:
        return "It waits for a worker. Is one running? Start one: celery -A release_worker worker"
    return f"It waits for a worker. Is one running? Start one, or all there is: {command_line('dev')}"
