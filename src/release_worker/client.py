"""For other apps: ask for a release or a rollback, and wait for its result.

With a database URL, or a session of the caller's, the request is written down before it is published, so that one that
was accepted cannot be lost. Without, it is only published, and the worker writes it down when it arrives. SQLAlchemy is
not imported until a database is used.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, cast

from celery import Celery
from celery.exceptions import TimeoutError as CeleryTimeoutError
from kombu.exceptions import OperationalError
from uuid_utils import uuid7

from release_worker.domain.messages import (
    RESULTS,
    AnyRequest,
    CheckDriftResult,
    CreateReleaseResult,
    RollbackResult,
    validate_request,
)
from release_worker.domain.routing import QUEUES, SHARED, TASKS
from release_worker.errors import BrokerUnavailable, NotConfigured, ResultTimeout
from release_worker.settings import Settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session

    from release_worker.domain.request_record import RequestRecord

R = TypeVar("R", CreateReleaseResult, RollbackResult, CheckDriftResult)
OnMissing = Literal["fail", "skip", "recreate"]

# Publishing tries for some seconds and then says that it could not, rather than hang in a caller's request.
_PUBLISH = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1.0}


class RequestHandle(Generic[R]):
    """A request that was accepted. `id` is that of its row in the ledger and of its Celery task.

    `published` is False where the broker could not be reached, or where the caller's transaction has not ended yet.
    """

    def __init__(self, client: "ReleaseClient", request_id: str, kind: str, *, published: bool = False) -> None:
        self._client = client
        self.id = request_id
        self.kind = kind
        self.published = published

    def result(self, timeout: float | None = None) -> R:
        """Wait `timeout` seconds at most (None: for ever) and return the result.

        Raises the error of a request that failed, and ResultTimeout; the request goes on after that.
        """
        return cast(R, self._client.wait(self.id, self.kind, timeout=timeout))


class ReleaseClient:
    """Asks a release worker, through its broker. Thread-safe; opens connections when they are first needed."""

    def __init__(self, *, broker_url: str, result_backend: str | None = None, database_url: str | None = None) -> None:
        self._settings = Settings.model_validate(
            {"broker_url": broker_url, "result_backend": result_backend, "database_url": database_url}
        )
        self._app = Celery("release_worker.client", set_as_current=False)
        self._app.conf.update(SHARED, broker_url=self._settings.broker_url)
        self._app.conf.update(result_backend=self._settings.result_backend)
        self._lazy_engine: Engine | None = None

    @classmethod
    def from_env(cls) -> Self:
        """A client for the addresses in `RELEASE_WORKER_…`. Raises NotConfigured where the broker is not set."""
        settings = read_settings()
        return cls(
            broker_url=settings.require("broker_url"),
            result_backend=settings.result_backend,
            database_url=settings.database_url,
        )

    def close(self) -> None:
        """Close the connections that were opened."""
        self._app.close()
        if self._lazy_engine is not None:
            self._lazy_engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def create_release(
        self,
        toolset: str,
        *,
        actor: str,
        notes: str | None = None,
        labels: Mapping[str, Any] | None = None,
        only_if_changed: bool = False,
        expected_current_release: int | None = None,
        idempotency_key: str | None = None,
        session: "Session | None" = None,
    ) -> RequestHandle[CreateReleaseResult]:
        """Ask for a release of `toolset`, a UUID or `organization/project/toolset`.

        With `session`, the request joins the caller's transaction and is published after its commit. Raises
        InvalidRequest, IdempotencyConflict and BrokerUnavailable; in the last, `request_id` says that it was kept.
        """
        fields = {
            "toolset": toolset,
            "actor": actor,
            "notes": notes,
            "labels": None if labels is None else dict(labels),
            "only_if_changed": only_if_changed,
            "expected_current_release": expected_current_release,
            "idempotency_key": idempotency_key,
        }
        return self._submit("create_release", fields, session)

    def rollback(
        self,
        toolset: str,
        release_number: int,
        *,
        actor: str,
        reason: str | None = None,
        components: Sequence[str] | None = None,
        on_missing: OnMissing = "fail",
        allow_shared_impact: bool = False,
        expected_current_release: int | None = None,
        dry_run: bool = False,
        idempotency_key: str | None = None,
        session: "Session | None" = None,
    ) -> RequestHandle[RollbackResult]:
        """Ask for `toolset` to be rolled back to a release; otherwise as `create_release`."""
        fields = {
            "toolset": toolset,
            "release_number": release_number,
            "actor": actor,
            "reason": reason,
            "components": None if components is None else tuple(components),
            "on_missing": on_missing,
            "allow_shared_impact": allow_shared_impact,
            "expected_current_release": expected_current_release,
            "dry_run": dry_run,
            "idempotency_key": idempotency_key,
        }
        return self._submit("rollback", fields, session)

    def check_drift(self, toolset: str, *, actor: str = "check_drift") -> RequestHandle[CheckDriftResult]:
        """Ask whether live state has moved away from the current release; otherwise as `create_release`."""
        return self._submit("check_drift", {"toolset": toolset, "actor": actor}, None)

    def handle(self, request_id: str, kind: str) -> RequestHandle[Any]:
        """The handle of a request that was made before, perhaps by another process."""
        return RequestHandle(self, request_id, kind, published=True)

    def wait(self, request_id: str, kind: str, *, timeout: float | None) -> Any:
        """What `RequestHandle.result` does."""
        if self._settings.database_url is not None:
            return self._wait_for_ledger(request_id, timeout)
        if self._settings.result_backend is None:
            raise NotConfigured(
                "to wait for a result, set RELEASE_WORKER_DATABASE_URL or RELEASE_WORKER_RESULT_BACKEND",
                setting="RELEASE_WORKER_RESULT_BACKEND",
            )
        try:
            fields = self._app.AsyncResult(request_id).get(timeout=timeout)
        except CeleryTimeoutError:
            raise ResultTimeout(request_id=request_id, timeout=timeout, status="not finished") from None
        return RESULTS[kind].model_validate(fields)

    def _submit(self, kind: str, fields: Mapping[str, Any], session: "Session | None") -> RequestHandle[Any]:
        request = validate_request(kind, fields)
        request_id = str(uuid7())
        if session is not None:
            return self._submit_in_session(request, request_id, session)
        if self._settings.database_url is not None:
            from release_worker.store.engine import ledger_transaction

            with ledger_transaction(self._engine()) as connection:
                record = _write_down(connection, request, request_id)
            handle = RequestHandle[Any](self, record.id, kind, published=record.finished)
            if not record.finished:
                self._publish(handle, request, kept=True)
            return handle
        handle = RequestHandle[Any](self, request_id, kind)
        self._publish(handle, request, kept=False)
        return handle

    def _submit_in_session(self, request: AnyRequest, request_id: str, session: "Session") -> RequestHandle[Any]:
        from sqlalchemy import event

        record = _write_down(session.connection(), request, request_id)
        handle = RequestHandle[Any](self, record.id, request.kind, published=record.finished)

        def publish(_: object) -> None:
            # Without a broker the caller's commit stands: the request is in the ledger, and `published` stays False.
            with suppress(BrokerUnavailable):
                self._publish(handle, request, kept=True)

        def forget(*_: object) -> None:
            if event.contains(session, "after_commit", publish):
                event.remove(session, "after_commit", publish)

        if not record.finished:
            event.listen(session, "after_commit", publish, once=True)
            event.listen(session, "after_soft_rollback", forget, once=True)
        return handle

    def _publish(self, handle: RequestHandle[Any], request: AnyRequest, *, kept: bool) -> None:
        arguments = request.model_dump(mode="json", exclude_none=True)
        try:
            self._app.send_task(
                TASKS[request.kind],
                kwargs=arguments,
                task_id=handle.id,
                queue=QUEUES[request.kind],
                retry=True,
                retry_policy=_PUBLISH,
                ignore_result=self._settings.result_backend is None,
            )
        except (OperationalError, OSError) as error:
            raise BrokerUnavailable(
                f"the broker cannot be reached: {error}" + ("; the request is kept in the ledger" if kept else ""),
                reason=str(error),
                request_id=handle.id if kept else None,
            ) from error
        handle.published = True

    def _wait_for_ledger(self, request_id: str, timeout: float | None) -> Any:
        from release_worker.store.engine import ledger_transaction
        from release_worker.store.requests import get_request

        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 0.02
        while True:
            with ledger_transaction(self._engine()) as connection:
                record = get_request(connection, request_id)
            if record is not None and record.finished:
                return record.outcome()
            if deadline is not None and time.monotonic() >= deadline:
                status = "unknown" if record is None else record.status
                raise ResultTimeout(request_id=request_id, timeout=timeout, status=status)
            time.sleep(pause)
            pause = min(pause * 1.3, 0.25)

    def _engine(self) -> "Engine":
        if self._lazy_engine is None:
            from release_worker.store.engine import make_engine

            url = self._settings.require("database_url")
            self._lazy_engine = make_engine(url, application_name="release_worker client")
        return self._lazy_engine


def _write_down(connection: "Connection", request: AnyRequest, request_id: str) -> "RequestRecord":
    """The request's row; a toolset that is not there is for the worker to say, so that the ledger says it too."""
    from release_worker.errors import ToolsetNotFound
    from release_worker.store.requests import accept_request
    from release_worker.store.toolsets import find_toolset

    try:
        toolset_id = find_toolset(connection, request.toolset).toolset_id
    except ToolsetNotFound:
        toolset_id = None
    return accept_request(connection, request, request_id=request_id, toolset_id=toolset_id)
