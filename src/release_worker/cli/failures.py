"""Exit statuses, and errors as one clear line on standard error with the details that help."""

import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

import typer
from rich.text import Text

from release_worker import errors
from release_worker.cli.render import command_line, count, exact_moment, listed, one_line, print_json, say

DONE = 0
FAILED = 1
WRONG_USAGE = 2
DIFFERS = 3
KEPT = 4

LONGEST_LIST = 10


def report(error: errors.ReleaseWorkerError, *, as_json: bool) -> int:
    """Write the error to standard error, with `as_json` as `{type, message, details}`. Returns the exit status."""
    if as_json:
        print_json(error.as_record(), stderr=True)
    else:
        _say_error(_headline(error))
        say(*(f"  {line}" for line in (*_details(error), *advice(error))), stderr=True)
    if _is_kept(error):
        return KEPT
    return WRONG_USAGE if isinstance(error, errors.InvalidRequest) else FAILED


def _is_kept(error: errors.ReleaseWorkerError) -> bool:
    """Whether the request goes on, and how it ends is not known yet."""
    match error:
        case errors.ResultTimeout() | errors.ResultUnavailable():
            return True
        case errors.BrokerUnavailable():
            return bool(error.details.get("request_id"))
        case _:
            return False


def _is_of_many(error: errors.ReleaseWorkerError) -> bool:
    """Whether it ends the wait for many requests, which one key finds again."""
    return _is_kept(error) and "idempotency_key" in error.details


def report_usage(error: typer.TyperException, *, as_json: bool) -> int:
    """Say what is wrong with the command line, and where its help is."""
    message = one_line(error.format_message().replace("Value error, ", ""), 500)
    path = getattr(getattr(error, "ctx", None), "command_path", "release-worker")
    if as_json:
        print_json({"type": "WrongUsage", "message": message, "details": {}}, stderr=True)
    else:
        _say_error(f"{message.rstrip('.')} (see: {path} --help)")
    return WRONG_USAGE


def report_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An excepthook: what should not happen is one line too, and the traceback is kept in a file."""
    with tempfile.NamedTemporaryFile("w", prefix="release-worker-", suffix=".txt", delete=False) as file:
        traceback.print_exception(kind, error, trace, file=file)
    reason = one_line(f"{kind.__name__}: {error}", 300)
    if "--json" in sys.argv:
        details = {"traceback": file.name}
        print_json({"type": "UnexpectedFailure", "message": reason, "details": details}, stderr=True)
    else:
        _say_error(f"unexpected {reason} (a defect; the traceback is in {file.name})")


def _say_error(message: str) -> None:
    say(Text.assemble(("error: ", "bold red"), message), stderr=True)


def _headline(error: errors.ReleaseWorkerError) -> str:
    """The message; if it lists what is listed below, the sentence without the list."""
    if isinstance(error, (errors.MissingDependencies, errors.SharedStateImpact)):
        return type(error).sentence
    return one_line(error.message, 500)


def _details(error: errors.ReleaseWorkerError) -> list[str]:
    details = error.details
    match error:
        case errors.MissingDependencies():
            lines = listed([*_texts(details, "tools"), *_texts(details, "resources")], LONGEST_LIST)
        case errors.SharedStateImpact():
            lines = listed([_toolset(one) for one in details.get("toolsets", ())], LONGEST_LIST)
        case errors.IntegrityMismatch():
            lines = listed([_mismatch(one) for one in details.get("objects", ())], LONGEST_LIST)
        case _:
            lines = [one_line(line) for line in _texts(details, "log_tail")]
    request_id = details.get("request_id")
    if isinstance(request_id, str) and request_id not in error.message and not _is_of_many(error):
        lines.append(f"request {one_line(request_id)}")
    return lines


_ADVICE: Mapping[type[errors.ReleaseWorkerError], str] = {
    errors.ReleaseMarkedBad: "--allow-bad goes there all the same.",
    errors.StaleState: "Look again (`status`, `rollback --plan`), and ask for what is right now.",
    errors.MissingDependencies: "--on-missing skip restores the rest; "
    "--on-missing recreate provides them again from the release.",
    errors.SharedStateImpact: "--allow-shared-impact does it all the same; "
    "a rollback restores only what you name with --component NAME.",
    errors.BrokerUnavailable: "Does Redis or Valkey run where RELEASE_WORKER_BROKER_URL says? Nothing was asked for.",
}

_LISTED_BY: Mapping[type[errors.ReleaseWorkerError], tuple[str, ...]] = {
    errors.ToolsetNotFound: ("toolsets",),
    errors.ScheduleNotFound: ("schedule", "list"),
    errors.FreezeNotFound: ("freeze", "list", "--past"),
}


def advice(error: errors.ReleaseWorkerError) -> list[str]:
    """What to do about an error, if that is known."""
    details = error.details
    match error:
        case errors.NotConfigured() if "found" in details:  # the database is there, and is somebody else's
            return []
        case errors.NotConfigured(details={"setting": "RELEASE_WORKER_SCHEMA"}):  # its message says all
            return []
        case errors.NotConfigured() if str(details.get("setting")).startswith("RELEASE_WORKER_"):
            started = command_line("dev")
            return [f"Set it to your own server, or start `{started}` and copy the `export` lines that it prints."]
        case errors.ReleaseNotFound():
            return [f"Its releases: {command_line('list', str(details.get('toolset')))}"]
        case errors.ToolsetNotFound() | errors.ScheduleNotFound() | errors.FreezeNotFound():
            return [f"Those that are there: {command_line(*_LISTED_BY[type(error)])}"]
        case errors.OwnerNotFound():
            kind = str(details.get("scope"))
            return [f"Those that are there: {command_line(kind, 'list')}"]
        case _ if _is_of_many(error):
            return [*_progress(details), _all_kept(str(details["idempotency_key"]))]
        case _ if _is_kept(error):
            return [*_progress(details), kept(str(details["request_id"]), only_a_plan="only_a_plan" in details)]
        case errors.DatabaseUnavailable():
            return _about_the_database(error)
        case _:
            return [_ADVICE[type(error)]] if type(error) in _ADVICE else []


def kept(request_id: str, *, only_a_plan: bool = False) -> str:
    """That there is no need to ask again, for whoever stopped waiting or could not reach the broker."""
    follow = command_line("requests", "show", request_id)
    if only_a_plan:
        return f"Only the plan is kept and will be made: nothing will be rolled back. Follow it: {follow}"
    return f"The request is kept and will be done: do not ask again. Follow it: {follow}"


def _all_kept(key: str) -> str:
    """As `kept`, of many requests: the same command, with their key, goes on with them."""
    given = sys.argv[1:]
    with_key = [] if any(key in argument for argument in given) else ["--idempotency-key", key]
    again = command_line(*given, *with_key)
    return f"What was asked for is kept and will be done. Go on with it, nothing is done twice: {again}"


def _progress(details: dict[str, Any]) -> list[str]:
    """What became of the request so far, from the details of a ResultTimeout."""
    attempts, last = details.get("attempts"), details.get("last_error")
    if "status" in details and not attempts:
        return ["Is a worker running, and can it reach the broker?"]
    if not isinstance(last, dict):
        return []
    due = details.get("next_attempt_at")
    again = f"; next try {exact_moment(datetime.fromisoformat(due))}" if isinstance(due, str) else ""
    return [f"It was tried {count(attempts or 0, 'time')}: {one_line(str(last.get('message')), 500)}{again}."]


def _about_the_database(error: errors.DatabaseUnavailable) -> list[str]:
    match error.details.get("sqlstate"):
        case "42501":
            return [f"What each role needs: {command_line('db', 'grants')}"]
        case "42P01" | "42703" | "42883" | "3F000":
            return [f"The tables of this version: {command_line('db', 'upgrade')}"]
        case "3D000":
            return ["Make it first (createdb), or name another one in RELEASE_WORKER_DATABASE_URL."]
        case _:
            return ["Does PostgreSQL run where RELEASE_WORKER_DATABASE_URL says?"]


def _texts(details: dict[str, Any], name: str) -> Sequence[str]:
    return [str(one) for one in details.get(name) or ()]


def _toolset(one: Any) -> str:
    return f"{one['path']}: {', '.join(one['components'])}"


def _mismatch(one: Any) -> str:
    return f"{one['object']}: stored {_digest(one.get('stored'))}, computed {_digest(one.get('computed'))}"


def _digest(digest: Any) -> str:
    return "nothing" if digest is None else str(digest)[:16]
