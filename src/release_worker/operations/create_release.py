"""Create a release: capture all of a toolset's state, under the next number."""

from release_worker.domain.release import Release
from release_worker.domain.requests.create_release import CreateRelease, CreateReleaseResult
from release_worker.operations.capture import capture
from release_worker.operations.expectations import check_expected_release, check_not_frozen
from release_worker.state.work import Work
from release_worker.store.captured import digest_today
from release_worker.store.capturing import Predecessor, Stamp
from release_worker.store.releases import hold_for_release


def create_release(work: Work, request: CreateRelease) -> CreateReleaseResult:
    """Capture every component in one statement, and so in one snapshot, and make the release current.

    With `only_if_changed`, the current release is the answer if live state equals it. Never commits. Raises
    ToolsetNotFound, StaleState, Frozen and, if another transaction was first, VersionConflict.
    """
    with work.timings.step("hold"):
        subject, current = hold_for_release(work.connection, work.toolset_id)
    check_expected_release(request.expected_current_release, current)
    stamp = Stamp("release", request.actor, request_id=work.request_id, notes=request.notes, labels=request.labels)
    predecessor = _predecessor(work, current, if_changed=request.only_if_changed)
    with work.timings.step("capture"):
        release, freeze = capture(work.connection, subject, work.registry, predecessor=predecessor, stamp=stamp)
    check_not_frozen(freeze, request.override_freeze)
    if release is None:
        assert current is not None, "live state is what the current release holds"
        return _result(current, created=False)
    return _result(release, created=True)


def _predecessor(work: Work, current: Release | None, *, if_changed: bool) -> Predecessor:
    if current is None:
        return Predecessor(None)
    return Predecessor(current.id, digest_today(work.connection, current, work.registry.parts) if if_changed else None)


def _result(release: Release, *, created: bool) -> CreateReleaseResult:
    return CreateReleaseResult(
        release_id=release.id,
        release_number=release.release_number,
        toolset_id=release.toolset_id,
        toolset_version=release.toolset_version,
        digest=release.digest,
        created=created,
    )
