"""From a message to a row in the ledger. The client may have written the row already; a plain `send_task` has not."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from release_worker.domain.messages import AnyRequest, parse_request, printable
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import IdempotencyConflict, InvalidRequest, ToolsetNotFound
from release_worker.store.engine import ledger_transaction
from release_worker.store.requests import accept_request, get_request, refuse_request
from release_worker.store.toolsets import find_toolset


class Inbox:
    """Writes requests down as they arrive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def accept(
        self, kind: str, positional: Sequence[Any], keywords: Mapping[str, Any], *, request_id: str
    ) -> RequestRecord:
        """The row that this message stands for. One that is no valid request, or that uses an idempotency key a second
        time for something else, is a row that has failed."""
        try:
            request = parse_request(kind, positional, keywords)
        except InvalidRequest as error:
            return self._refuse(request_id, kind, _legible(positional, keywords), _actor(keywords), error)
        try:
            with ledger_transaction(self._engine) as connection:
                known = get_request(connection, request_id)
                if known is not None:
                    return known
                toolset_id = _toolset_id(connection, request)
                return accept_request(connection, request, request_id=request_id, toolset_id=toolset_id).record
        except IdempotencyConflict as error:
            payload = {**request.payload(), "idempotency_key": request.idempotency_key}
            return self._refuse(request_id, kind, payload, request.actor, error)

    def _refuse(
        self,
        request_id: str,
        kind: str,
        payload: Mapping[str, Any],
        actor: str,
        error: InvalidRequest | IdempotencyConflict,
    ) -> RequestRecord:
        with ledger_transaction(self._engine) as connection:
            return refuse_request(
                connection, request_id=request_id, kind=kind, payload=payload, requested_by=actor, error=error
            )


def _toolset_id(connection: Connection, request: AnyRequest) -> UUID | None:
    """None for a toolset that is not there: the operation will say so."""
    try:
        return find_toolset(connection, request.toolset, organization=request.organization).toolset_id
    except ToolsetNotFound:
        return None


def _legible(positional: Sequence[Any], keywords: Mapping[str, Any]) -> dict[str, Any]:
    """Enough of a malformed request for people to recognise it, in a form that the ledger can hold."""
    shown = {printable(str(name), 100): printable(repr(value), 200) for name, value in list(keywords.items())[:50]}
    return {"refused": shown, "positional": [printable(repr(value), 200) for value in positional[:20]]}


def _actor(keywords: Mapping[str, Any]) -> str:
    actor = keywords.get("actor")
    return printable(actor, 200) if isinstance(actor, str) and actor else "unknown"
