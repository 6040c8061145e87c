"""A release as it is stored."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

ReleaseKind = Literal["release", "backup", "restored"]


@dataclass(frozen=True, slots=True)
class Release:
    """One row of `toolset_releases`, with the number of its toolset version."""

    id: UUID
    toolset_id: UUID
    release_number: int
    kind: ReleaseKind
    toolset_version_id: UUID
    toolset_version: int
    source_state_id: UUID | None
    global_variations_version_id: UUID | None
    toolset_variations_version_id: UUID | None
    digest: str
    predecessor_id: UUID | None
    notes: str | None
    labels: dict[str, Any]
    released_by: str
    request_id: str | None
    created_at: datetime
