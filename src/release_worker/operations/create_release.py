"""Create a release: capture all of a toolset's state, under the next number."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.messages import CreateRelease, CreateReleaseResult
from release_worker.domain.release import Release
from release_worker.operations.capture import capture
from release_worker.operations.expectations import check_expected_release
from release_worker.state.registry import Components
from release_worker.store.capturing import Stamp
from release_worker.store.releases import hold_for_release


def create_release(
    connection: Connection,
    request: CreateRelease,
    *,
    toolset_id: UUID,
    components: Components,
    request_id: str | None = None,
) -> CreateReleaseResult:
    """Capture every component in one statement, and so in one snapshot, and make the release current.

    With `only_if_changed`, the current release is the answer if live state equals it. Never commits. Raises
    ToolsetNotFound, StaleState and, if another transaction was first, VersionConflict.
    """
    subject, current = hold_for_release(connection, toolset_id)
    check_expected_release(request.expected_current_release, current)
    stamp = Stamp("release", request.actor, request_id=request_id, notes=request.notes, labels=request.labels)
    release = capture(
        connection,
        subject,
        components=components,
        current=current,
        stamp=stamp,
        make_current=True,
        only_if_changed=request.only_if_changed,
    )
    if release is None:
        assert current is not None, "live state is what the current release holds"
        return _result(current, created=False)
    return _result(release, created=True)


def _result(release: Release, *, created: bool) -> CreateReleaseResult:
    return CreateReleaseResult(
        release_id=release.id,
        release_number=release.release_number,
        toolset_id=release.toolset_id,
        toolset_version=release.toolset_version,
        digest=release.digest,
        created=created,
    )
