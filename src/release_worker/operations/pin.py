"""Keep a release for good."""

from sqlalchemy import Connection

from release_worker.domain.messages import Pin, PinResult
from release_worker.store.releases import find_release
from release_worker.store.retention import set_pinned
from release_worker.store.toolsets import find_toolset, lock_toolset


def pin(connection: Connection, request: Pin) -> PinResult:
    """Pin a release, or take the pin away: the label `pinned`. Raises ToolsetNotFound and ReleaseNotFound."""
    subject = find_toolset(connection, request.toolset, organization=request.organization)
    lock_toolset(connection, subject)
    release = find_release(connection, subject, request.release_number)
    set_pinned(connection, release.id, pinned=request.pinned)
    return PinResult(toolset_id=subject.toolset_id, release_number=release.release_number, pinned=request.pinned)
