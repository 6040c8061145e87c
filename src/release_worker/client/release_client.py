"""Asks a release worker, through its broker."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from celery.exceptions import TimeoutError as CeleryTimeoutError
from uuid_utils import uuid7

from release_worker.broker.publishing import message_again, message_of, publish
from release_worker.broker.routing import envelope
from release_worker.client.bundles import AsksForImports
from release_worker.client.connections import ConnectionsByProcess, twice
from release_worker.client.request_handle import RequestHandle
from release_worker.client.staging import AsksForStaging
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.requests.check_drift import CheckDriftResult
from release_worker.domain.requests.create_release import CreateReleaseResult
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.domain.requests.pin import PinResult
from release_worker.domain.requests.prune import PruneResult
from release_worker.domain.requests.request import Request, Result
from release_worker.domain.requests.rollback import OnMissing, RollbackResult
from release_worker.errors import NotConfigured, ResultTimeout
from release_worker.settings import given_settings, read_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from release_worker.client.writing_down import OpenTransaction
    from release_worker.domain.request_record import RequestRecord
    from release_worker.domain.subject import Scope, Subject
    from release_worker.operations.sweep import Swept
    from release_worker.store.accepting import Accepted

Handle = RequestHandle[Any]


class ReleaseClient(AsksForStaging, AsksForImports):
    """Asks a release worker, through its broker. Thread-safe; opens connections when they are first needed, and new
    ones in a process that was forked meanwhile."""

    def __init__(
        self,
        *,
        broker_url: str,
        result_backend: str | None = None,
        database_url: str | None = None,
        prepared_statements: bool = True,
    ) -> None:
        """Some poolers need `prepared_statements=False`. Raises NotConfigured for an address that cannot be one."""
        self._settings = given_settings(
            broker_url=broker_url,
            result_backend=result_backend,
            database_url=database_url,
            prepared_statements=prepared_statements,
        )
        self._connections = ConnectionsByProcess(self._settings)

    @classmethod
    def from_env(cls) -> Self:
        """A client for the addresses in `RELEASE_WORKER_…`. Raises NotConfigured where the broker is not set."""
        settings = read_settings()
        return cls(
            broker_url=settings.require("broker_url"),
            result_backend=settings.result_backend,
            database_url=settings.database_url,
            prepared_statements=settings.prepared_statements,
        )

    def close(self) -> None:
        """Close the connections that this process has opened."""
        self._connections.close()

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
        organization: str | None = None,
        session: "Session | None" = None,
    ) -> RequestHandle[CreateReleaseResult]:
        """Ask for a release of `toolset`, a UUID or `organization/project/toolset`.

        `organization`, a slug or an id, says whose toolset it must be: another's is as good as not there.
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
            "organization": organization,
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
        organization: str | None = None,
        session: "Session | None" = None,
    ) -> RequestHandle[RollbackResult]:
        """Ask for `toolset` to be rolled back to a release; otherwise as `create_release`."""
        fields = {
            "toolset": toolset,
            "release_number": release_number,
            "actor": actor,
            "reason": reason,
            "components": components if components is None or isinstance(components, str) else tuple(components),
            "on_missing": on_missing,
            "allow_shared_impact": allow_shared_impact,
            "expected_current_release": expected_current_release,
            "dry_run": dry_run,
            "idempotency_key": idempotency_key,
            "organization": organization,
        }
        return self._submit("rollback", fields, session)

    def check_drift(
        self, toolset: str, *, actor: str = "check_drift", organization: str | None = None
    ) -> RequestHandle[CheckDriftResult]:
        """Ask whether live state has moved away from the current release; otherwise as `create_release`."""
        return self._submit("check_drift", {"toolset": toolset, "actor": actor, "organization": organization}, None)

    def pin(
        self, toolset: str, release_number: int, *, actor: str, pinned: bool = True, organization: str | None = None
    ) -> RequestHandle[PinResult]:
        """Ask for a release to be kept for good, or (`pinned` false) no longer; otherwise as `create_release`."""
        fields = {"toolset": toolset, "release_number": release_number, "actor": actor, "pinned": pinned}
        return self._submit("pin", {**fields, "organization": organization}, None)

    def prune(
        self, toolset: str, *, keep: int, actor: str, organization: str | None = None
    ) -> RequestHandle[PruneResult]:
        """Ask for old releases to be removed, but for the newest `keep` and those that something needs."""
        fields = {"toolset": toolset, "keep": keep, "actor": actor, "organization": organization}
        return self._submit("prune", fields, None)

    def retry(self, request_id: str, *, organization: str | None = None) -> Handle:
        """Bring a failed request back, with all its attempts. Needs a database.

        Raises RequestNotFound, also for one of another organization than `organization` where that is given,
        InvalidRequest for one that has not failed, and BrokerUnavailable.
        """
        from release_worker.operations.retry_request import retry_request
        from release_worker.store.engine import ledger_transaction

        with ledger_transaction(self._engine()) as connection:
            record = retry_request(connection, request_id, organization=organization)
        handle = self.handle(record.id, record.kind)
        self._publish(handle, message_of(record), kept=True)
        return handle

    def sweep(self) -> "Swept":
        """Publish again what the broker has lost, as the worker's own sweeper does. Needs a database."""
        from release_worker.operations.sweep import sweep

        def publish_again(record: "RequestRecord") -> None:
            publish(self._connections.own().app, message_again(record), kept=True)

        return sweep(self._engine(), publish_again, attempts=DEFAULTS.attempts)

    def editing(
        self, session: "Session", toolset: str, *, scope: "Scope" = "toolset", organization: str | None = None
    ) -> "Subject":
        """Hold what is about to be edited in the session's transaction, so that it is in order with all operations.

        `scope` says whose state: `toolset` (lists, settings, its variations), `project` (deployments, prompts,
        configuration) or `organization` (global variations); if there are several, begin with the last of these.
        Returns the toolset's ids: `toolset_id`, `project_id`, `organization_id`. Waits for a running operation, with
        no timeout of its own. Raises InvalidRequest for a session that cannot be joined, and ToolsetNotFound.
        """
        from release_worker.client.writing_down import hold_what_is_edited

        return hold_what_is_edited(session, toolset, scope, organization)

    def handle(self, request_id: str, kind: str | None = None, *, organization: str | None = None) -> Handle:
        """The handle of a request that was made before, perhaps by another process.

        Without its `kind`, or with `organization`, a slug or an id that says whose it must be, the request is looked
        up, which needs a database. Raises RequestNotFound, also for a request of another organization, and
        NotConfigured.
        """
        if kind is None or organization is not None:
            engine = self._engine()
            from release_worker.queries.find_request import find_request
            from release_worker.store.engine import single_statement

            def look() -> str:
                with single_statement(engine) as connection:
                    return find_request(connection, request_id, organization=organization).kind

            kind = twice(look)
        return Handle(self._wait, request_id, kind, published=True)

    def _submit(self, kind: str, fields: Mapping[str, Any], session: "Session | None") -> Handle:
        request = validate_request(kind, fields)
        request_id = str(uuid7())
        if session is not None:
            return self._submit_in_session(request, request_id, session)
        if self._settings.database_url is None:
            handle = Handle(self._wait, request_id, kind)
            self._publish(
                handle, envelope(kind, request_id, request.model_dump(mode="json"), in_ledger=False), kept=False
            )
            return handle
        accepted = twice(lambda: self._write_down(request, request_id))  # what did arrive is found under its id
        handle = self._handle_of(accepted)
        if not accepted.record.finished:
            self._publish(handle, message_of(accepted.record, behind_others=accepted.behind_others), kept=True)
        return handle

    def _write_down(self, request: Request, request_id: str) -> "Accepted":
        from release_worker.store.accepting import KEY_WAIT, accept_request
        from release_worker.store.engine import single_statement

        with single_statement(self._engine()) as connection:
            return accept_request(connection, request, request_id=request_id, lock_timeout=KEY_WAIT)

    def _submit_in_session(self, request: Request, request_id: str, session: "Session") -> Handle:
        from release_worker.client.writing_down import OpenTransaction, after_commit, joined
        from release_worker.store.accepting import accept_request

        connection = joined(session)
        accepted = accept_request(connection, request, request_id=request_id)
        handle = self._handle_of(accepted, made_in=OpenTransaction(connection))

        def publish_kept() -> None:
            self._publish(handle, message_of(accepted.record, behind_others=accepted.behind_others), kept=True)

        if not accepted.record.finished:
            after_commit(session, publish_kept)
        return handle

    def _handle_of(self, accepted: "Accepted", made_in: "OpenTransaction | None" = None) -> Handle:
        if accepted.record.toolset_id is None:
            raise accepted.record.stored_error()
        record, wait = accepted.record, partial(self._wait, made_in=made_in)
        return Handle(wait, record.id, record.kind, published=record.finished)

    def _publish(self, handle: Handle, message: Mapping[str, Any], *, kept: bool) -> None:
        publish(self._connections.own().app, message, kept=kept)
        handle.published = True

    def _wait(
        self, request_id: str, kind: str, timeout: float | None, *, made_in: "OpenTransaction | None" = None
    ) -> Result:
        if self._settings.database_url is not None:
            from release_worker.client.writing_down import wait_for_ledger

            return wait_for_ledger(self._engine(), request_id, timeout, made_in)
        if self._settings.result_backend is None:
            raise NotConfigured(
                "to wait for a result, set RELEASE_WORKER_DATABASE_URL or RELEASE_WORKER_RESULT_BACKEND",
                setting="RELEASE_WORKER_RESULT_BACKEND",
            )
        try:
            fields = self._connections.own().app.AsyncResult(request_id).get(timeout=timeout)
        except CeleryTimeoutError:
            raise ResultTimeout(request_id=request_id, timeout=timeout, status="not finished") from None
        return KINDS[kind].result.model_validate(fields)

    def _engine(self) -> "Engine":
        return self._connections.own().engine()
