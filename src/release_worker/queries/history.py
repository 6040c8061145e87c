"""Look back: a toolset's releases, and everything about one of them."""

from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.queries.releases import (
    MarkMention,
    ReleaseParts,
    RollbackMention,
    latest_rollback,
    marks_of,
    override_of,
    release_number,
    release_parts,
    rollbacks_of,
)
from release_worker.queries.timeline import ALL, Chosen, Timeline, timeline
from release_worker.store.owners.naming import find_toolset
from release_worker.store.releases import current_release, find_release


@dataclass(frozen=True, slots=True)
class History:
    """A toolset's releases and rollbacks, and its newest rollback of all."""

    subject: Subject
    timeline: Timeline
    latest_rollback: RollbackMention | None


@dataclass(frozen=True, slots=True)
class ReleaseDescription:
    """A release with what it holds and how it came about."""

    subject: Subject
    release: Release
    current: bool
    predecessor_number: int | None
    parts: ReleaseParts
    rollbacks: tuple[RollbackMention, ...]
    marks: tuple[MarkMention, ...]
    override_freeze: str | None


def release_history(
    connection: Connection, toolset: str, *, limit: int, chosen: Chosen = ALL, organization: str | None = None
) -> History:
    """The newest `limit` releases that are chosen, with the rollbacks of their time. Raises ToolsetNotFound, also for
    a toolset of another `organization`."""
    subject = find_toolset(connection, toolset, organization=organization)
    return History(
        subject, timeline(connection, subject, limit=limit, chosen=chosen), latest_rollback(connection, subject)
    )


def describe_release(
    connection: Connection, toolset: str, number: int, *, organization: str | None = None
) -> ReleaseDescription:
    """Everything about the release of this number. Raises ToolsetNotFound, as above, and ReleaseNotFound."""
    subject = find_toolset(connection, toolset, organization=organization)
    release = find_release(connection, subject, number)
    current = current_release(connection, subject)
    return ReleaseDescription(
        subject=subject,
        release=release,
        current=current is not None and current.id == release.id,
        predecessor_number=release_number(connection, release.predecessor_id),
        parts=release_parts(connection, release),
        rollbacks=tuple(rollbacks_of(connection, release)),
        marks=tuple(marks_of(connection, release)),
        override_freeze=override_of(connection, release),
    )
