"""Keep a release for good."""

from release_worker.domain.requests.pin import Pin, PinResult
from release_worker.state.work import Work
from release_worker.store.owners.holding import hold_toolset
from release_worker.store.releases import find_release
from release_worker.store.retention import set_pinned


def pin(work: Work, request: Pin) -> PinResult:
    """Pin a release, or take the pin away: the label `pinned`. Raises ToolsetNotFound and ReleaseNotFound."""
    connection = work.connection
    subject = hold_toolset(connection, work.toolset_id)
    release = find_release(connection, subject, request.release_number)
    set_pinned(connection, release.id, pinned=request.pinned)
    return PinResult(toolset_id=subject.toolset_id, release_number=release.release_number, pinned=request.pinned)
