"""What an operation works with."""

from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.subject import ALL_SCOPES, Scope
from release_worker.domain.timings import Timings
from release_worker.state.registry import Registry


@dataclass(frozen=True, slots=True)
class Work:
    """A request's transaction, which the operation never commits, and the toolset that the request belongs to.

    `registry` has the components that releases capture. `request_id` is noted in what is written. `written` are the
    scopes whose owners are held for writing from the start. `timings` are told how long each step takes.
    """

    connection: Connection
    toolset_id: UUID
    registry: Registry
    request_id: str | None = None
    written: frozenset[Scope] = ALL_SCOPES
    timings: Timings = field(default_factory=Timings)
