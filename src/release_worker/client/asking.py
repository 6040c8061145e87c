"""How a client asks: a request is checked, written down if there is a database, published, and waited for."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from uuid_utils import uuid7

from release_worker.broker.publishing import message_of, publish
from release_worker.broker.routing import envelope
from release_worker.client.connections import ConnectionsByProcess, twice
from release_worker.client.request_handle import RequestHandle
from release_worker.client.result_backend import answer_of, state_of
from release_worker.domain.database import PUBLIC
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.domain.server_urls import Sentinel
from release_worker.errors import NotConfigured
from release_worker.extras import require
from release_worker.tracing.choosing import tracing_of_caller

if TYPE_CHECKING:
    from celery.result import AsyncResult
    from sqlalchemy import Connection, Engine

    from release_worker.client.doors import Door, OpenTransaction
    from release_worker.client.transactions import CallersTransaction, SqlAlchemyTransaction
    from release_worker.domain.request_record import Status
    from release_worker.domain.requests.request import Request, Result
    from release_worker.settings import Settings
    from release_worker.store.accepting import Accepted

T = TypeVar("T")
Handle = RequestHandle[Any]


class Asking:
    """What every client has: its settings, its connections, and the way of a request."""

    def __init__(
        self,
        *,
        broker_url: str,
        result_backend: str | None = None,
        database_url: str | None = None,
        prepared_statements: bool = True,
        sentinel: Sentinel | None = None,
        schema: str = PUBLIC,
        secret_keys: str | None = None,
    ) -> None:
        """Some poolers need `prepared_statements=False`, and a `sentinel://` address needs `sentinel`. `schema` is
        that of the worker's tables in the database, and `secret_keys` are patterns of keys whose values are not shown,
        separated by commas. With a database and without a `result_backend`, Celery is asked to store no result. No
        variable of the environment counts. Raises NotConfigured for an address or a name that cannot be one."""
        from release_worker.settings import given_settings  # brings pydantic, which a mere import does not need

        self._settings = given_settings(
            broker_url=broker_url,
            result_backend=result_backend,
            database_url=database_url,
            prepared_statements=prepared_statements,
            sentinel_master=sentinel.master if sentinel else None,
            sentinel_password=sentinel.password if sentinel else None,
            database_schema=schema,
            secret_keys=secret_keys,
        )
        self._connections = ConnectionsByProcess(self._settings)

    @classmethod
    def from_env(cls) -> Self:
        """A client for the addresses in `RELEASE_WORKER_…`. Raises NotConfigured if the broker is not set."""
        from release_worker.settings import read_settings

        return cls._of(read_settings())

    @classmethod
    def _of(cls, settings: "Settings") -> Self:
        """A client for what these settings say of clients. Raises NotConfigured if the broker is not set."""
        return cls(
            broker_url=settings.require("broker_url"),
            result_backend=settings.result_backend,
            database_url=settings.database_url,
            prepared_statements=settings.prepared_statements,
            sentinel=settings.sentinel,
            schema=settings.database_schema,
            secret_keys=settings.secret_keys,
        )

    def _use_database(self, url: str | None) -> None:
        """From now on, another database."""
        self.close()
        self._settings = self._settings.model_copy(update={"database_url": url})
        self._connections = ConnectionsByProcess(self._settings)

    def close(self) -> None:
        """Close the connections that this process has opened."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def handle(self, request_id: str, kind: str | None = None, *, organization: str | None = None) -> Handle:
        """The handle of a request that was made before, perhaps by another process.

        Without its `kind`, or with `organization`, a slug or an id that says whose it must be, the request is looked
        up, which needs a database. A client without one finds the result only if Celery stored it: whoever asked had no
        database, or named a `result_backend`. Raises RequestNotFound, also for a request of another organization, and
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
        return Handle(self, request_id, kind, published=True)

    def cancel(
        self, request_id: str, *, actor: str, reason: str | None = None, organization: str | None = None
    ) -> None:
        """Let a queued request fail with RequestCancelled, before a worker begins it. Needs a database.

        `retry` brings it back. Raises RequestNotQueued for a request that is running or has ended, RequestNotFound as
        `retry`, InvalidRequest for an `actor` or a `reason` that cannot be kept, and VersionConflict if a worker has
        had the row for ten seconds.
        """
        from release_worker.domain.cancellation import Cancellation
        from release_worker.domain.requests.kinds import validated
        from release_worker.operations.cancel_request import cancel_request
        from release_worker.store.engine import ledger_transaction

        cancellation = validated(Cancellation, {"actor": actor, "reason": reason})
        with ledger_transaction(self._engine()) as connection:
            cancel_request(connection, request_id, cancellation, organization=organization)

    def _submit(self, kind: str, fields: Mapping[str, Any], session: "CallersTransaction | None") -> Handle:
        request = validate_request(kind, fields)
        request_id = str(uuid7())
        with tracing_of_caller().span(f"ask {kind}", role="producer", request_id=request_id, kind=kind):
            return self._submit_traced(request, request_id, session)

    def _submit_traced(self, request: "Request", request_id: str, session: "CallersTransaction | None") -> Handle:
        if session is not None:
            return self._submit_in_session(request, request_id, session)
        if self._settings.database_url is None:
            handle = Handle(self, request_id, request.kind)
            traceparent = tracing_of_caller().traceparent()
            message = envelope(request.kind, request_id, request.arguments(), None, traceparent)
            self._publish(handle, message, kept=False, others_read=True)
            return handle
        accepted = twice(lambda: self._write_down(request, request_id))  # what did arrive is found under its id
        handle = self._handle_of(accepted)
        if not accepted.record.finished:
            self._publish(handle, message_of_accepted(accepted), kept=True, others_read=handle.id != request_id)
        return handle

    def _write_down(self, request: "Request", request_id: str) -> "Accepted":
        from release_worker.store.accepting import KEY_WAIT, accept_request
        from release_worker.store.engine import single_statement

        trace = tracing_of_caller().traceparent()
        with single_statement(self._engine()) as connection:
            return accept_request(connection, request, request_id=request_id, lock_timeout=KEY_WAIT, traceparent=trace)

    def _submit_in_session(self, request: "Request", request_id: str, session: "CallersTransaction") -> Handle:
        from release_worker.store.accepting import ACCEPT, accepted, asking

        door = self._door(session)
        trace = tracing_of_caller().traceparent()
        parameters = asking(request, request_id=request_id, announced=door.announced, traceparent=trace)
        [answer] = door.answers(ACCEPT, parameters)
        kept = accepted(answer, request, request_id)
        handle = self._handle_of(kept, made_in=door.transaction())
        if not kept.record.finished and not door.announced:
            message, others_read = message_of_accepted(kept), handle.id != request_id
            door.after_commit(lambda: self._publish(handle, message, kept=True, others_read=others_read))
        return handle

    @property
    def _look(self) -> float:
        """Seconds that a wait has to last, to find a result that is there: Celery waits for messages of the backend."""
        return 0.0 if self._settings.database_url is not None else 0.05

    @property
    def _schema(self) -> str:
        """Where the worker's tables are in the database."""
        return self._settings.database_schema

    def _handle_of(self, accepted: "Accepted", made_in: "OpenTransaction | None" = None) -> Handle:
        """The handle of what was written down. Raises ToolsetNotFound if it was for none."""
        refuse_what_is_for_no_toolset(accepted)
        record = accepted.record
        return Handle(self, record.id, record.kind, published=record.finished, made_in=made_in)

    def _publish(self, handle: Handle, message: Mapping[str, Any], *, kept: bool, others_read: bool) -> None:
        """Send the message of a request. Where the ledger has the result and nobody named a backend, Celery need not
        store it again. `others_read`: this call may not have made the request (a key found it, or it is brought back),
        so another client may wait at the backend."""
        in_ledger_alone = kept and not others_read and self._settings.result_backend is None
        unstored = {"ignore_result": True} if in_ledger_alone else {}
        publish(self._connections.own().app, {**message, **unstored}, kept=kept)
        handle.published = True

    def _wait_for(
        self, request_id: str, kind: str, timeout: float | None, made_in: "OpenTransaction | None" = None
    ) -> "Result":
        """What `RequestHandle.result` returns and raises; the request was `made_in` that transaction."""
        if self._settings.database_url is not None:
            from release_worker.client.writing_down import wait_for_ledger

            return wait_for_ledger(self._engine(), request_id, timeout, made_in)
        fields = answer_of(self._asked_for(request_id), request_id, timeout)
        return KINDS[kind].result.model_validate(fields)

    def _status_of(self, request_id: str) -> "Status":
        """What `RequestHandle.status` returns and raises."""
        if self._settings.database_url is not None:
            from release_worker.client.writing_down import status_in_ledger

            return status_in_ledger(self._engine(), request_id)
        return state_of(self._asked_for(request_id), request_id)

    def _asked_for(self, request_id: str) -> "AsyncResult":
        if self._settings.result_backend is None:
            raise NotConfigured(
                "to wait for a result, set RELEASE_WORKER_DATABASE_URL or RELEASE_WORKER_RESULT_BACKEND",
                setting="RELEASE_WORKER_RESULT_BACKEND",
            )
        return self._connections.own().app.AsyncResult(request_id)

    def _at_once(self, work: "Callable[[Connection], T]", session: "SqlAlchemyTransaction | None") -> T:
        """Do what needs no worker: in the session's transaction, or in one of its own."""
        if session is not None:
            return work(self._joined(session))
        engine = self._engine()
        from release_worker.store.engine import ledger_transaction

        def in_a_transaction() -> T:
            with ledger_transaction(engine) as connection:
                return work(connection)

        return twice(in_a_transaction)

    def _door(self, session: "CallersTransaction") -> "Door":
        require("database", "a session")
        from release_worker.client.doors import door_of

        return door_of(session, self._schema)

    def _joined(self, session: "SqlAlchemyTransaction") -> "Connection":
        from release_worker.client.doors import joined

        return joined(session, self._schema)

    def _engine(self) -> "Engine":
        return self._connections.own().engine()


def refuse_what_is_for_no_toolset(accepted: "Accepted") -> None:
    """Raises ToolsetNotFound, with which such a request was written down."""
    if accepted.record.toolset_id is None:
        raise accepted.record.stored_error()


def message_of_accepted(accepted: "Accepted") -> dict[str, Any]:
    """The message that wakes a worker for it."""
    return message_of(accepted.record, behind_others=accepted.behind_others, path=accepted.path)
