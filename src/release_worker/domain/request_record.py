"""A request as the ledger holds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from release_worker.domain.canonical_json import as_plain
from release_worker.domain.outcomes import Failed, Succeeded
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.domain.timings import Timings
from release_worker.errors import InvalidRequest, ReleaseWorkerError, from_record

if TYPE_CHECKING:
    from release_worker.domain.requests.request import Request, Result

Status = Literal["queued", "running", "succeeded", "failed"]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One row of `release_requests`."""

    id: str
    seq: int
    kind: str
    toolset_id: UUID | None
    idempotency_key: str | None
    payload: dict[str, Any]
    status: Status
    attempts: int
    next_attempt_at: datetime | None
    worker: str | None
    lease_until: datetime | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    traceparent: str | None = None

    @property
    def finished(self) -> bool:
        return self.status in ("succeeded", "failed")

    def request(self) -> "Request":
        """The request that the row asks for, with defaults filled in. Raises InvalidRequest if it asks for none: others
        may write rows too."""
        return _checked(self.kind, {**self.payload, "idempotency_key": self.idempotency_key})

    @property
    def arguments(self) -> dict[str, Any]:
        """What its task is called with, for an encoder that knows no Decimal. Raises InvalidRequest, as `request`."""
        return self.request().arguments()

    @property
    def outcome(self) -> Succeeded | Failed:
        """How a finished request ended."""
        return Failed(self.stored_error()) if self.status == "failed" else Succeeded(self.result or {})

    def answer(self) -> "Result":
        """The result of a finished request; raises the error of one that failed."""
        if self.status == "failed":
            raise self.stored_error()
        return KINDS[self.kind].result.model_validate(self.result)

    @property
    def ticket(self) -> "Ticket":
        """The ticket of a request that has a toolset; each request that can still be worked has one."""
        assert self.toolset_id is not None, "a request without a toolset has failed"
        return Ticket(self.id, self.toolset_id)

    def ticket_of(self, *, first: bool) -> "Ticket":
        """As `ticket`; `first`: of a message that was delivered for the first time. Then it says what the row asks for,
        if nobody has tried it and it is a request."""
        if not first or self.status != "queued" or self.attempts > 0:
            return self.ticket
        try:
            return replace(self.ticket, said=self.request(), first=True)
        except InvalidRequest:
            return self.ticket

    def stored_error(self) -> ReleaseWorkerError:
        """The last error; of a queued request, the one that it waits to be tried again after."""
        return from_record(self.error or {"type": "ReleaseWorkerError", "message": "the request failed"})


@dataclass(frozen=True, slots=True)
class Ticket:
    """Which request is to be worked, and in which toolset's mailbox it lies.

    `said` is what its message says that the row asks for; None if it says nothing, and the row has been looked at.
    `first`: its message was delivered for the first time, so no worker can have died of it.
    """

    id: str
    toolset_id: UUID
    said: "Request | None" = None
    first: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on one attempt at a request. `attempt` is the fence: a later claim has a higher one. `tries` are
    those since the request was asked or brought back. `traceparent`
    says in whose trace it was asked. `timings` are written down with the attempt's end."""

    id: str
    kind: str
    attempt: int
    payload: dict[str, Any]
    toolset_id: UUID
    tries: int = 1
    traceparent: str | None = None
    timings: Timings = field(default_factory=Timings, compare=False, repr=False)

    def request(self) -> "Request":
        """The request that the row asks for, with defaults filled in. Raises InvalidRequest if it asks for none."""
        return _checked(self.kind, self.payload)


def _checked(kind: str, fields: Mapping[str, Any]) -> "Request":
    try:
        plain = as_plain(fields)
    except (ValueError, RecursionError) as error:  # a number of more digits than an int may have, say
        raise InvalidRequest(f"the request cannot be read: {type(error).__name__}", problems=[]) from None
    return validate_request(kind, plain)
