"""From a message to a row in the ledger. The client may have written the row already; a plain `send_task` has not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from release_worker.domain.messages import AnyRequest, parse_request, printable
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import (
    IdempotencyConflict,
    InvalidRequest,
    ReleaseWorkerError,
    RequestNotFound,
    ToolsetNotFound,
)
from release_worker.store.engine import ledger_transaction
from release_worker.store.requests import accept_request, get_request, refuse_request
from release_worker.store.toolsets import find_toolset


@dataclass(frozen=True, slots=True)
class Message:
    """A task as it arrived. `in_ledger`: its sender wrote the row first, so without the row it stands for nothing."""

    id: str
    positional: Sequence[Any]
    keywords: Mapping[str, Any]
    in_ledger: bool


class Inbox:
    """Writes requests down as they arrive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def accept(self, kind: str, message: Message) -> RequestRecord:
        """The row that a message stands for.

        Raises InvalidRequest for one that is no valid request, and IdempotencyConflict for one that uses a key, or the
        id of another request, for something else; either is a row that has failed. Raises RequestNotFound where its
        sender wrote a row that is not there: the sender's transaction was undone.
        """
        try:
            request = parse_request(kind, message.positional, message.keywords)
        except InvalidRequest as error:
            self._refuse(message.id, kind, _legible(message), _actor(message.keywords), error)
            raise
        try:
            with ledger_transaction(self._engine) as connection:
                if message.in_ledger and get_request(connection, message.id) is None:
                    raise RequestNotFound(request_id=message.id)
                toolset_id = _toolset_id(connection, request)
                return accept_request(connection, request, request_id=message.id, toolset_id=toolset_id).record
        except IdempotencyConflict as error:
            payload = {**request.payload(), "idempotency_key": request.idempotency_key}
            self._refuse(message.id, kind, payload, request.actor, error, request)
            raise

    def _refuse(
        self,
        request_id: str,
        kind: str,
        payload: Mapping[str, Any],
        actor: str,
        error: ReleaseWorkerError,
        request: AnyRequest | None = None,
    ) -> None:
        with ledger_transaction(self._engine) as connection:
            refuse_request(
                connection,
                request_id=request_id,
                kind=kind,
                payload=payload,
                requested_by=actor,
                error=error,
                toolset_id=None if request is None else _toolset_id(connection, request),
            )


def _toolset_id(connection: Connection, request: AnyRequest) -> UUID | None:
    """None for a toolset that is not there: the operation will say so."""
    try:
        return find_toolset(connection, request.toolset, organization=request.organization).toolset_id
    except ToolsetNotFound:
        return None


def _legible(message: Message) -> dict[str, Any]:
    """Enough of a malformed request for people to recognise it, in a form that the ledger can hold."""
    named = list(message.keywords.items())[:50]
    return {
        "refused": {printable(str(name), 100): printable(repr(value), 200) for name, value in named},
        "positional": [printable(repr(value), 200) for value in message.positional[:20]],
    }


def _actor(keywords: Mapping[str, Any]) -> str:
    actor = keywords.get("actor")
    return printable(actor, 200) if isinstance(actor, str) and actor else "unknown"
