"""A request that a schedule has made."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from release_worker.domain.requests.request import Request


@dataclass(frozen=True, slots=True)
class ScheduledRequest:
    """A request that is in the ledger since just now. `behind_others`: it is one of many, and a request that somebody
    waits for goes before it."""

    id: str
    toolset_id: UUID
    request: "Request"
    behind_others: bool
