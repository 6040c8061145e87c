"""A schedule: what is asked for, of whose toolsets, and when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from release_worker.domain.owner_name import OwnerName
from release_worker.domain.requests.fields import Name, Toolset
from release_worker.domain.requests.request import Request
from release_worker.domain.schedules.asked import full_arguments, scheduled_request
from release_worker.domain.schedules.misfires import Misfire, Tolerance
from release_worker.domain.schedules.recurrence import (
    Recurrence,
    instant_in,
    instant_of,
    recurrence_of,
    several_after,
    zone_named,
)
from release_worker.domain.subject import Scope

# What becomes of an instant if the request of the instant before has not ended yet, for each toolset by itself:
# nothing, or one more request behind it.
Overlap = Literal["skip", "queue"]

LONGEST_CATCH_UP = 30 * 86_400
DEFAULT_CATCH_UP = 3_600

ScheduleName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class NewSchedule(BaseModel):
    """A schedule that is to be added. With a toolset or a project, `organization` says whose it must be; alone, it
    means all of the organization's toolsets. `at` without an offset is in the time zone."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: ScheduleName
    toolset: Toolset | None = None
    project: Name | None = None
    organization: Name | None = None
    cron: str | None = None
    at: datetime | str | None = None
    timezone: str = "UTC"
    kind: str = "create_release"
    arguments: dict[str, Any] = Field(default_factory=dict)
    misfire: Misfire = "once"
    catch_up_seconds: Annotated[int, Field(ge=0, le=LONGEST_CATCH_UP)] = DEFAULT_CATCH_UP
    overlap: Overlap | None = None
    actor: Name

    @model_validator(mode="after")
    def _of_somebody_and_at_some_time(self) -> Self:
        if self.toolset is not None and self.project is not None:
            raise ValueError("either a toolset or a project can be given")
        if self.toolset is None:
            OwnerName(project=self.project, organization=self.organization)
        if (self.cron is None) == (self.at is None):
            raise ValueError("either a cron expression (`cron`) or an instant (`at`) must be given")
        return self

    @property
    def scope(self) -> Scope:
        if self.toolset is not None:
            return "toolset"
        return "organization" if self.project is None else "project"

    @property
    def instant(self) -> datetime | None:
        """`at` in UTC. Raises InvalidRequest."""
        zone = zone_named(self.timezone)
        if self.at is None:
            return None
        return instant_of(self.at, zone) if isinstance(self.at, str) else instant_in(self.at, zone)

    @property
    def recurrence(self) -> Recurrence:
        """Raises InvalidRequest for a cron expression, an instant or a time zone that is none."""
        return recurrence_of(self.cron, self.instant, zone_named(self.timezone))

    @property
    def full_arguments(self) -> dict[str, Any]:
        """The arguments as they are stored."""
        return full_arguments(self.kind, self.arguments)

    @property
    def request(self) -> Request:
        """What it asks for, of a toolset that is filled in. Raises InvalidRequest for what is no request."""
        return scheduled_request(self.kind, self.arguments, self.scope, actor=self.actor)

    @property
    def policy_of_overlap(self) -> Overlap:
        """To catch up with all that was missed means to wait for each: `skip` would leave out all but the first."""
        return self.overlap or ("queue" if self.misfire == "all" else "skip")


@dataclass(frozen=True, slots=True)
class Schedule:
    """One row of `release_schedules`.

    `organization` is the slug. `target` is the path of the toolset or the project, the organization's slug, or the id
    of what is gone. `held_fire_at` is the instant that waits for the end of a freeze, `held_until` when the worker
    looks again."""

    id: UUID
    name: str
    organization: str
    target: str
    organization_id: UUID
    project_id: UUID | None
    toolset_id: UUID | None
    kind: str
    arguments: Mapping[str, Any]
    cron: str | None
    fire_at: datetime | None
    timezone: str
    misfire: Misfire
    catch_up_seconds: int
    overlap: Overlap
    enabled: bool
    next_fire_at: datetime | None
    last_fire_at: datetime | None
    held_fire_at: datetime | None
    held_until: datetime | None
    suspended_reason: str | None
    created_by: str
    created_at: datetime

    @property
    def scope(self) -> Scope:
        if self.toolset_id is not None:
            return "toolset"
        return "organization" if self.project_id is None else "project"

    @property
    def parameters(self) -> dict[str, UUID | None]:
        """What SQL of its scope refers to as `:organization_id`, `:project_id` and `:toolset_id`."""
        return {
            "organization_id": self.organization_id,
            "project_id": self.project_id,
            "toolset_id": self.toolset_id,
        }

    @property
    def active(self) -> bool:
        """Whether it fires when its next instant comes."""
        return self.enabled and self.suspended_reason is None

    @property
    def recurrence(self) -> Recurrence:
        """Raises InvalidRequest if the row, which others may write too, has no valid one."""
        return recurrence_of(self.cron, self.fire_at, zone_named(self.timezone))

    @property
    def request(self) -> Request:
        """What it asks for, of a toolset that is filled in. Raises InvalidRequest if the row asks for nothing valid."""
        return scheduled_request(self.kind, self.arguments, self.scope, actor=f"schedule {self.name}")

    def tolerance(self, on_time: timedelta) -> Tolerance:
        """How late it may fire."""
        return Tolerance(self.misfire, on_time, timedelta(seconds=self.catch_up_seconds))

    def next_fires(self, count: int) -> list[datetime]:
        """The next instants in its time zone, up to `count`; none if it does not fire. Raises InvalidRequest, as
        `recurrence`."""
        if not self.active or self.next_fire_at is None:
            return []
        later = several_after(self.recurrence, self.next_fire_at, count - 1)
        zone = zone_named(self.timezone)
        return [instant.astimezone(zone) for instant in (self.next_fire_at, *later)]

    @property
    def keys(self) -> str:
        """What the idempotency keys of all its requests begin with."""
        return f"schedule:{self.id}:"

    def key(self, instant: datetime) -> str:
        """The idempotency key of the requests that an instant makes, one for each toolset."""
        return f"{self.keys}{instant.astimezone(UTC).isoformat().replace('+00:00', 'Z')}"
