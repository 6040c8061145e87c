"""Who wants to be told what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from release_worker.domain.events import EventType
from release_worker.domain.owner_name import OwnerName
from release_worker.domain.requests.fields import Name
from release_worker.domain.signing import SigningSecret
from release_worker.domain.webhook_rules import webhook_target


def _webhook_url(url: str) -> str:
    webhook_target(url)
    return url


def _signing_secret(text: str) -> str:
    return SigningSecret.parse(text).text


_Url = Annotated[str, AfterValidator(_webhook_url)]
_Secret = Annotated[str, AfterValidator(_signing_secret)]
_Task = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[\w.:-]+$")]


class NewSubscription(OwnerName):
    """What is wanted: events of these types (none means all), of all toolsets or of those of a project or an
    organization, at a URL or in a Celery task."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    actor: Name
    types: tuple[EventType, ...] = ()
    url: _Url | None = None
    secret: _Secret | None = Field(default=None, repr=False)
    task: _Task | None = None
    queue: _Task | None = None

    @model_validator(mode="after")
    def _one_is_given(self) -> Self:
        """In place of the owner's own rule: to give none means all toolsets."""
        if (self.url is None) == (self.task is None):
            raise ValueError("either a URL or a task must be given")
        if (self.task is None) != (self.queue is None):
            raise ValueError("a task needs a queue, and a URL has none")
        if self.task is not None and self.secret is not None:
            raise ValueError("only what goes to a URL is signed")
        return self

    @property
    def receiver(self) -> str:
        """What may be shown of where the events go: not what stands behind a question mark."""
        if self.url is None:
            return f"task {self.task}"
        return urlsplit(self.url)._replace(query="").geturl() + ("?…" if urlsplit(self.url).query else "")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription, and how it does. `pending`: deliveries that are to be made; `dead`: those that were given up;
    `failures`: attempts that failed since the last that did not. The secret is told by its fingerprint alone."""

    subscription_id: UUID
    receiver: str
    queue: str | None
    types: Sequence[str]
    organization_id: UUID | None
    project_id: UUID | None
    secret_fingerprint: str | None
    enabled: bool
    disabled_reason: str | None
    failures: int
    failing_since: datetime | None
    paused_until: datetime | None
    last_delivered_at: datetime | None
    last_error: str | None
    created_by: str
    created_at: datetime
    pending: int
    dead: int


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A new subscription. `secret` is there if it was made here: it is not told again."""

    subscription_id: UUID
    receiver: str
    secret: str | None = None
