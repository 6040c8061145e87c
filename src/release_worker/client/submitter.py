"""How a client asks: the request is written down if there is a database, then published, and waited for."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.exceptions import BackendError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from kombu.exceptions import OperationalError
from uuid_utils import uuid7

from release_worker.broker.publishing import message_of, publish
from release_worker.broker.routing import envelope
from release_worker.client.connections import ConnectionsByProcess, twice
from release_worker.client.request_handle import RequestHandle
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.domain.requests.request import Request, Result
from release_worker.errors import NotConfigured, ResultTimeout, ResultUnavailable
from release_worker.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from release_worker.client.writing_down import OpenTransaction
    from release_worker.store.accepting import Accepted

Handle = RequestHandle[Any]

# What Celery raises if it cannot reach the result backend, or loses it while it waits.
_BACKEND_AWAY = (BackendError, OperationalError, OSError, RuntimeError)


class Submitter:
    """Submits requests on behalf of one client, over its connections."""

    def __init__(self, settings: Settings, connections: ConnectionsByProcess) -> None:
        self._settings = settings
        self._connections = connections

    def submit(self, kind: str, fields: Mapping[str, Any], session: "Session | None") -> Handle:
        """Ask for what the client's method of this kind asks for; raises what that raises."""
        request = validate_request(kind, fields)
        request_id = str(uuid7())
        if session is not None:
            return self._submit_in_session(request, request_id, session)
        if self._settings.database_url is None:
            handle = Handle(self.wait, request_id, kind)
            self.publish(
                handle, envelope(kind, request_id, request.model_dump(mode="json"), in_ledger=False), kept=False
            )
            return handle
        accepted = twice(lambda: self._write_down(request, request_id))  # what did arrive is found under its id
        handle = self._handle_of(accepted)
        if not accepted.record.finished:
            self.publish(handle, message_of(accepted.record, behind_others=accepted.behind_others), kept=True)
        return handle

    def publish(self, handle: Handle, message: Mapping[str, Any], *, kept: bool) -> None:
        """Send the handle's message. `kept`: its request is in the ledger. Raises BrokerUnavailable."""
        publish(self._connections.own().app, message, kept=kept)
        handle.published = True

    def wait(
        self, request_id: str, kind: str, timeout: float | None, *, made_in: "OpenTransaction | None" = None
    ) -> Result:
        """What `RequestHandle.result` does. `made_in`: the transaction of the caller that wrote the request."""
        if self._settings.database_url is not None:
            from release_worker.client.writing_down import wait_for_ledger

            return wait_for_ledger(self._connections.own().engine(), request_id, timeout, made_in)
        if self._settings.result_backend is None:
            raise NotConfigured(
                "to wait for a result, set RELEASE_WORKER_DATABASE_URL or RELEASE_WORKER_RESULT_BACKEND",
                setting="RELEASE_WORKER_RESULT_BACKEND",
            )
        try:
            fields = self._connections.own().app.AsyncResult(request_id).get(timeout=timeout)
        except CeleryTimeoutError:
            raise ResultTimeout(request_id=request_id, timeout=timeout, status="not finished") from None
        except _BACKEND_AWAY as error:
            reason = " ".join(str(error).split())
            raise ResultUnavailable(request_id=request_id, reason=f"the result backend is away: {reason}") from error
        return KINDS[kind].result.model_validate(fields)

    def _write_down(self, request: Request, request_id: str) -> "Accepted":
        from release_worker.store.accepting import KEY_WAIT, accept_request
        from release_worker.store.engine import single_statement

        with single_statement(self._connections.own().engine()) as connection:
            return accept_request(connection, request, request_id=request_id, lock_timeout=KEY_WAIT)

    def _submit_in_session(self, request: Request, request_id: str, session: "Session") -> Handle:
        from release_worker.client.writing_down import OpenTransaction, after_commit, joined
        from release_worker.store.accepting import accept_request

        connection = joined(session)
        accepted = accept_request(connection, request, request_id=request_id)
        handle = self._handle_of(accepted, made_in=OpenTransaction(connection))

        def publish_kept() -> None:
            self.publish(handle, message_of(accepted.record, behind_others=accepted.behind_others), kept=True)

        if not accepted.record.finished:
            after_commit(session, publish_kept)
        return handle

    def _handle_of(self, accepted: "Accepted", made_in: "OpenTransaction | None" = None) -> Handle:
        if accepted.record.toolset_id is None:
            raise accepted.record.stored_error()
        record, wait = accepted.record, partial(self.wait, made_in=made_in)
        return Handle(wait, record.id, record.kind, published=record.finished)
