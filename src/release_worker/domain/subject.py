"""Whose state a release captures."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

Scope = Literal["toolset", "project", "organization"]
ALL_SCOPES: frozenset[Scope] = frozenset(("toolset", "project", "organization"))


@dataclass(frozen=True, slots=True)
class Subject:
    """A live toolset, with the project and the organization that it belongs to."""

    toolset_id: UUID
    project_id: UUID
    organization_id: UUID
    path: str

    @property
    def parameters(self) -> dict[str, UUID]:
        """What every component's SQL may refer to as `:toolset_id`, `:project_id` and `:organization_id`."""
        return {
            "toolset_id": self.toolset_id,
            "project_id": self.project_id,
            "organization_id": self.organization_id,
        }
