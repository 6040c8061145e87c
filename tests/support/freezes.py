"""Freezes, written as anyone may write them, and by how far they are from now."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.support.world import Organization, Project


def from_now(hours: float) -> datetime:
    """So many hours from now; negative: ago."""
    return datetime.now(UTC) + timedelta(hours=hours)


def freeze(of: Project | Organization, *, starts: float = -1, ends: float = 1, reason: str = "year end") -> UUID:
    """A freeze of a project or a whole organization, `starts` and `ends` hours from now; its id."""
    organization = of.organization if isinstance(of, Project) else of
    return of.rows.insert(
        "release_freezes",
        organization_id=organization.id,
        project_id=of.id if isinstance(of, Project) else None,
        starts_at=from_now(starts),
        ends_at=from_now(ends),
        reason=reason,
        created_by="release manager",
    )


def unfreeze(of: Project | Organization, freeze_id: UUID) -> None:
    of.rows.delete("release_freezes", {"id": freeze_id})
