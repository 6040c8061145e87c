"""Create a release: capture all of a toolset's state, under the next number."""

from sqlalchemy import Connection

from release_worker.domain.messages import CreateRelease, CreateReleaseResult
from release_worker.domain.release import Release
from release_worker.operations.capture import capture
from release_worker.operations.expectations import check_expected_release
from release_worker.state.live import live_digests
from release_worker.state.registry import Components
from release_worker.store.releases import Stamp, hold_for_release


def create_release(
    connection: Connection, request: CreateRelease, *, components: Components, request_id: str | None = None
) -> CreateReleaseResult:
    """Capture every component in the transaction's one snapshot and make the release current.

    With `only_if_changed`, the current release is the answer where live state equals it. Never commits. Raises
    ToolsetNotFound, StaleState and, where another transaction was first, VersionConflict.
    """
    subject, current = hold_for_release(connection, request.toolset, organization=request.organization)
    check_expected_release(request.expected_current_release, current)
    live = live_digests(connection, components, subject.parameters)
    if request.only_if_changed and current is not None and current.digest == live.release:
        return _result(current, created=False)
    stamp = Stamp(request.actor, request_id=request_id, notes=request.notes, labels=request.labels)
    release = capture(
        connection,
        subject,
        components=components,
        live=live,
        kind="release",
        current=current,
        stamp=stamp,
        make_current=True,
    )
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
