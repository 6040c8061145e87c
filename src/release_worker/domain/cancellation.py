"""Who cancels a request, and why."""

from pydantic import BaseModel, ConfigDict

from release_worker.domain.requests.fields import Name, Text


class Cancellation(BaseModel):
    """It is kept in the error of the request that was cancelled."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    actor: Name
    reason: Text | None = None
