"""The Celery tasks: thin. A task is a wake-up for one toolset's mailbox, and its result is read from the ledger.

Their arguments are checked in one place, `domain.requests`, so that what is wrong with them is an `InvalidRequest` in
the ledger; Celery passes them on as they come.
"""

from typing import Any, NoReturn, assert_never

import structlog
from celery import Celery, Task
from celery.exceptions import Retry

from release_worker.broker.address import countdown
from release_worker.broker.readable import toolset_line
from release_worker.broker.routing import IN_LEDGER, TASKS, TOOLSET, TOOLSET_PATH, TRACEPARENT
from release_worker.domain import canonical_json
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.outcomes import Failed, Succeeded
from release_worker.domain.requests.kinds import describe_kind
from release_worker.errors import ReleaseWorkerError, TransientError
from release_worker.tracing.tracing import traceparent_in
from release_worker.worker.inbox import Message
from release_worker.worker.readable_result import ReadableResult
from release_worker.worker.runtime import Runtime, runtime_of


def register_tasks(app: Celery) -> None:
    """Give the app its tasks. The number and delay of retries here are those after the loss of a worker."""
    for kind, name in TASKS.items():
        app.task(
            _entry(kind),
            name=name,
            bind=True,
            typing=False,
            throws=(ReleaseWorkerError,),
            Request="release_worker.broker.readable_request:ReadableRequest",
            max_retries=DEFAULTS.retries,
            default_retry_delay=DEFAULTS.delay_after_loss,
        )


def _entry(kind: str) -> Any:
    def entry(task: Task, /, *positional: Any, **keywords: Any) -> ReadableResult:
        return wake_up(task, kind, positional, keywords)

    entry.__name__ = kind
    entry.__doc__ = describe_kind(kind)
    return entry


def wake_up(task: Task, kind: str, positional: tuple[Any, ...], keywords: dict[str, Any]) -> ReadableResult:
    """Write the request down, work its toolset's mailbox until it is done, and return its stored result.

    Raises the stored error of a request that failed, and Celery's Retry for what may succeed later.
    """
    runtime = runtime_of(task.app)
    request_id = task.request.id
    with structlog.contextvars.bound_contextvars(task_id=request_id):
        headers = task.request.headers or {}
        in_ledger, toolset = bool(headers.get(IN_LEDGER)), headers.get(TOOLSET)
        trace = traceparent_in(headers.get(TRACEPARENT))
        first = not (task.request.retries or (task.request.delivery_info or {}).get("redelivered"))
        message = Message(request_id, positional, keywords, in_ledger, toolset, trace, first)
        try:
            outcome = work_message(runtime, kind, message)
        except TransientError as error:
            _try_again_later(task, request_id, error)
        match outcome:
            case Failed(reason):
                raise reason
            case Succeeded(result):
                named = toolset_line(kind, positional, keywords, headers.get(TOOLSET_PATH))
                return ReadableResult(kind, named, canonical_json.as_plain(result))
            case _:
                assert_never(outcome)


def work_message(runtime: Runtime, kind: str, message: Message) -> Succeeded | Failed:
    """The end of the request that a message stands for."""
    watching = runtime.watching
    with watching.span(f"work {kind}", role="consumer", parent=message.traceparent, request_id=message.id, kind=kind):
        outcome = _work_on_its_word(runtime, kind, message)
        if outcome is None:
            with watching.span("accept"):
                record = runtime.inbox.accept(kind, message)
            outcome = runtime.mailbox.work(record, first=message.first)
        watching.ended(outcome)
        return outcome


def _work_on_its_word(runtime: Runtime, kind: str, message: Message) -> Succeeded | Failed | None:
    """As far as the message says by itself what is to be done; None if the ledger must be looked at first."""
    if (ticket := runtime.inbox.ticket(kind, message)) is not None:
        return runtime.mailbox.work_unseen(ticket)
    if (arrival := runtime.inbox.arrival(kind, message)) is not None:
        return runtime.mailbox.work_unwritten(arrival)
    return None


def _try_again_later(task: Task, request_id: str, error: TransientError) -> NoReturn:
    runtime = runtime_of(task.app)
    if task.request.retries >= runtime.retry.retries:
        runtime.mailbox.abandon(request_id, error)
        raise error
    policy = runtime.retry
    retry: Retry = task.retry(
        exc=error,
        countdown=countdown(task.app, policy.delay(task.request.retries)),
        max_retries=policy.retries,
        throw=False,
    )
    raise retry
