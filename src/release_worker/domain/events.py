"""What others may be told of: the types of events, and one of them before it is written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

EventType = Literal[
    "release.created",
    "release.marked",
    "rollback.succeeded",
    "request.failed",
    "drift.detected",
    "schedule.suspended",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it is kept. `seq` grows with each, but what is written at the same time may commit in another
    order."""

    id: UUID
    seq: int
    type: str
    toolset_id: UUID | None
    data: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for; none of these asks for all. `organization`: a slug or an id."""

    toolset_id: UUID | None = None
    types: Sequence[str] = ()
    before: int | None = None
    organization: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, and where: to a toolset, or to all of a project or organization.

    `data` is a small JSON object of ids, paths, numbers, names and one sentence: never a payload, a content or a
    secret. The path of the toolset is added to it.
    """

    type: EventType
    data: Mapping[str, Any] = field(default_factory=dict)
    toolset_id: UUID | None = None
    project_id: UUID | None = None
    organization_id: UUID | None = None
