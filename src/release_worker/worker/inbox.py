"""From a message to a row in the ledger. The client may have written the row already; a plain `send_task` has not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Engine

from release_worker.domain.outcomes import Failed
from release_worker.domain.request_record import RequestRecord, Ticket
from release_worker.domain.requests.kinds import parse_request
from release_worker.domain.requests.request import Request
from release_worker.domain.text import printable
from release_worker.errors import (
    IdempotencyConflict,
    InvalidRequest,
    RequestNotFound,
)
from release_worker.operations.release_at_once import Arrival
from release_worker.store.accepting import KEY_WAIT, Refusal, accept_request, find_same_request, refuse_request
from release_worker.store.engine import ledger_transaction, single_statement
from release_worker.worker.telling import about_request, tell

logger = structlog.get_logger(__name__)

_NOT_HERE = (
    "the message's sender wrote its row into another ledger, or its transaction was undone: are the sender's database "
    "and RELEASE_WORKER_SCHEMA this worker's?"
)


@dataclass(frozen=True, slots=True)
class Message:
    """A task as it arrived. `in_ledger`: its sender wrote the row first, so without the row it stands for nothing;
    `toolset`: and says whose mailbox it lies in. `traceparent`: in whose trace it was sent. `first`: it was not
    delivered before, nor has its task been tried."""

    id: str
    positional: Sequence[Any]
    keywords: Mapping[str, Any]
    in_ledger: bool
    toolset: object = None
    traceparent: str | None = None
    first: bool = False


class Inbox:
    """Writes requests down as they arrive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @staticmethod
    def ticket(kind: str, message: Message) -> Ticket | None:
        """What the sender says about the message's row, if it says all of it; None if the row must be looked at."""
        if not message.in_ledger or not isinstance(message.toolset, str):
            return None
        try:
            request = parse_request(kind, message.positional, message.keywords)
            return Ticket(message.id, UUID(message.toolset), request, message.first)
        except (InvalidRequest, ValueError):
            return None

    @staticmethod
    def arrival(kind: str, message: Message) -> Arrival | None:
        """The request of a message whose sender wrote no row, delivered for the first time; None if there is a row, if
        it was delivered before, and if it is no request."""
        if message.in_ledger or not message.first:
            return None
        try:
            request = parse_request(kind, message.positional, message.keywords)
        except InvalidRequest:
            return None
        return Arrival(message.id, request, message.traceparent)

    def accept(self, kind: str, message: Message) -> RequestRecord:
        """The row that a message stands for.

        Raises InvalidRequest for a message that is no valid request, and IdempotencyConflict for a message that uses a
        key, or the id of another request, for something else; either is written down as failed. Raises RequestNotFound
        if its sender wrote a row that is not there: the sender's transaction was undone.
        """
        try:
            request = parse_request(kind, message.positional, message.keywords)
        except InvalidRequest as error:
            self._refuse(Refusal(message.id, kind, _legible(message), _actor(message.keywords), error))
            raise
        try:
            return self._row_of(request, message)
        except IdempotencyConflict as error:
            payload = {**request.payload(), "idempotency_key": request.idempotency_key}
            self._refuse(Refusal(message.id, kind, payload, request.actor, error, request))
            raise

    def _row_of(self, request: Request, message: Message) -> RequestRecord:
        with single_statement(self._engine) as connection:
            if not message.in_ledger:
                trace = message.traceparent
                return accept_request(
                    connection, request, request_id=message.id, lock_timeout=KEY_WAIT, traceparent=trace
                ).record
            record = find_same_request(connection, request, message.id)
        if record is None:
            logger.warning("request_not_in_ledger", request_id=message.id, reason=_NOT_HERE)
            raise RequestNotFound(request_id=message.id)
        return record

    def _refuse(self, refusal: Refusal) -> None:
        with ledger_transaction(self._engine) as connection:
            refuse_request(connection, refusal)
        about = about_request(refusal.kind, refusal.payload)
        tell(Failed(refusal.error), request_id=refusal.request_id, **about)


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
