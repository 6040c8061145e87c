"""The Celery tasks: thin. A task is a wake-up for one toolset's mailbox, and its result is read from the ledger.

Their arguments are checked in one place, `domain.messages`, so that what is wrong with them is an `InvalidRequest` in
the ledger; Celery is told to pass them on as they come.
"""

from typing import Any, NoReturn

import structlog
from celery import Celery, Task
from celery.exceptions import Retry

from release_worker.broker.publishing import message_again, publish
from release_worker.broker.routing import IN_LEDGER, SWEEP, TASKS, TOOLSET
from release_worker.domain import canonical_json
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import ReleaseWorkerError, TransientError
from release_worker.worker.inbox import Message
from release_worker.worker.runtime import runtime_of

logger = structlog.get_logger(__name__)

_CREATE_RELEASE = """Capture a toolset's whole state as its next release.

    create_release(toolset, actor, notes=None, labels=None, only_if_changed=False, expected_current_release=None,
                   idempotency_key=None)

Returns `{release_id, release_number, toolset_id, toolset_version, digest, created}`.
"""
_ROLLBACK = """Restore a release of a toolset, exactly or not at all.

    rollback(toolset, release_number, actor, reason=None, components=None, on_missing="fail", allow_shared_impact=False,
             expected_current_release=None, dry_run=False, idempotency_key=None)

Returns `{rollback_id, toolset_id, from_release_number, to_release_number, current_release_number,
backup_release_number, components, changes, warnings, noop, dry_run}`. Of a component with very many changes, `changes`
tells the first 10,000 keys that were added or removed, the first 1,500 changed items, and how many it `omitted`.
"""
_CHECK_DRIFT = """Compare live state with the current release; changes nothing.

    check_drift(toolset)

Returns `{toolset_id, drifted, current_release_number, changes}`; `changes` as those of a rollback.
"""
_PIN = """Keep a release from being pruned, or (`pinned` false) no longer.

    pin(toolset, release_number, actor, pinned=True)

Returns `{toolset_id, release_number, pinned}`.
"""
_PRUNE = """Remove old releases, but for the newest `keep` and those that something needs.

    prune(toolset, keep, actor)

Returns `{toolset_id, pruned, kept}`.
"""
DOCUMENTATION = {
    "create_release": _CREATE_RELEASE,
    "rollback": _ROLLBACK,
    "check_drift": _CHECK_DRIFT,
    "pin": _PIN,
    "prune": _PRUNE,
}


def register_tasks(app: Celery) -> None:
    """Give the app its tasks. The number and delay of retries here are those after the loss of a worker."""
    for kind, name in TASKS.items():
        app.task(
            _entry(kind),
            name=name,
            bind=True,
            typing=False,
            throws=(ReleaseWorkerError,),
            max_retries=DEFAULTS.retries,
            default_retry_delay=DEFAULTS.delay_after_loss,
        )
    app.task(sweep, name=SWEEP, bind=True, ignore_result=True)


def _entry(kind: str) -> Any:
    def entry(task: Task, /, *positional: Any, **keywords: Any) -> dict[str, Any]:
        return wake_up(task, kind, positional, keywords)

    entry.__name__ = kind
    entry.__doc__ = DOCUMENTATION[kind]
    return entry


def wake_up(task: Task, kind: str, positional: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
    """Write the request down, work its toolset's mailbox until it is done, and return its stored result.

    Raises the stored error of a request that failed, and Celery's Retry for what may succeed later.
    """
    runtime = runtime_of(task.app)
    request_id = task.request.id
    with structlog.contextvars.bound_contextvars(task_id=request_id):
        headers = task.request.headers or {}
        in_ledger, toolset = bool(headers.get(IN_LEDGER)), headers.get(TOOLSET)
        message = Message(request_id, positional, keywords, in_ledger, toolset)
        try:
            ticket = runtime.inbox.ticket(kind, message)
            ending = None if ticket is None else runtime.mailbox.work_unseen(ticket)
            if ending is None:
                ending = runtime.mailbox.work(runtime.inbox.accept(kind, message))
        except TransientError as error:
            _try_again_later(task, request_id, error)
        if ending.error is not None:
            raise ending.error
        plain: dict[str, Any] = canonical_json.as_plain(ending.result)
        return plain


def sweep(task: Task) -> None:
    """Publish again what the broker has lost; a tick of the static beat schedule."""

    def publish_again(record: RequestRecord) -> None:
        publish(task.app, message_again(record), kept=True)

    swept = runtime_of(task.app).sweep(publish_again)
    if swept.published or swept.given_up or swept.refused:
        logger.warning("requests_swept", published=swept.published, given_up=swept.given_up, refused=swept.refused)


def _try_again_later(task: Task, request_id: str, error: TransientError) -> NoReturn:
    runtime = runtime_of(task.app)
    if task.request.retries >= runtime.retry.retries:
        runtime.mailbox.abandon(request_id, error)
        raise error
    policy = runtime.retry
    retry: Retry = task.retry(
        exc=error, countdown=policy.delay(task.request.retries), max_retries=policy.retries, throw=False
    )
    raise retry
