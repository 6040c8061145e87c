"""Keep a release for good."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.messages import Pin, PinResult
from release_worker.store.owners.holding import hold_toolset
from release_worker.store.releases import find_release
from release_worker.store.retention import set_pinned


def pin(connection: Connection, request: Pin, *, toolset_id: UUID) -> PinResult:
    """Pin a release, or take the pin away: the label `pinned`. Raises ToolsetNotFound and ReleaseNotFound."""
    subject = hold_toolset(connection, toolset_id)
    release = find_release(connection, subject, request.release_number)
    set_pinned(connection, release.id, pinned=request.pinned)
    return PinResult(toolset_id=subject.toolset_id, release_number=release.release_number, pinned=request.pinned)
