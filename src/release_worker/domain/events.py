"""What others may be told of: the types of events, and one of them before it is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
