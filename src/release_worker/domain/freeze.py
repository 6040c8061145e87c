"""Windows in which the toolsets of a project or an organization are to stay as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from pydantic import AwareDatetime, model_validator

from release_worker.domain.owner_name import OwnerName
from release_worker.domain.requests.fields import Name, Reason
from release_worker.errors import Frozen

FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window: `starts_at` is in it, `ends_at` no longer. `scope` is the path of the project, or of the organization
    if `project_id` is None."""

    id: UUID
    organization_id: UUID
    project_id: UUID | None
    scope: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_by: str
    created_at: datetime

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """A freeze as PostgreSQL writes it in JSON; times without a zone are in UTC."""
        times = {name: _in_utc(found[name]) for name in ("starts_at", "ends_at", "created_at")}
        project_id = found["project_id"] and UUID(found["project_id"])
        ids = {"id": UUID(found["id"]), "organization_id": UUID(found["organization_id"]), "project_id": project_id}
        return cls(**{**found, **ids, **times})

    def in_force(self, at: datetime) -> bool:
        """Whether this moment is in the window."""
        return self.starts_at <= at < self.ends_at

    @property
    def refusal(self) -> Frozen:
        """The error of a request that it holds off."""
        return Frozen(
            id=str(self.id),
            scope=self.scope,
            starts_at=self.starts_at.astimezone(UTC).isoformat(),
            ends_at=self.ends_at.astimezone(UTC).isoformat(),
            reason=self.reason,
        )


def _in_utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class NewFreeze(OwnerName):
    """What is asked of a freeze."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    reason: Reason
    actor: Name

    @model_validator(mode="after")
    def _is_a_window(self) -> Self:
        if not FIRST <= self.starts_at < self.ends_at < LAST:
            raise ValueError("must end after it starts")
        return self
