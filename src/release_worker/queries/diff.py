"""What differs between two releases of a toolset, or a release and live state."""

from sqlalchemy import Connection

from release_worker.domain.digests import SOURCE_STATE, TOOLSET_VERSION
from release_worker.domain.release import Release
from release_worker.domain.requests.diff import Diff, DiffResult
from release_worker.domain.requests.rollback import check_component_names
from release_worker.domain.subject import Subject
from release_worker.state.differences import differences, of_key
from release_worker.state.registry import Registry
from release_worker.state.states import State, captured_state, live_state
from release_worker.state.work import Work
from release_worker.store.captured import said_by
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.releases import find_release


def diff(work: Work, request: Diff) -> DiffResult:
    """Compare a release with another one or with live state, item by item. Reads only.

    A component of which a side says nothing is not compared: deployment and system of a release that captured no
    source state, a plug-in that came later. Raises ToolsetNotFound, ReleaseNotFound and InvalidRequest (an unknown
    component).
    """
    connection, registry = work.connection, work.registry
    check_component_names(request.components, registry.names)
    subject = toolset_of_id(connection, work.toolset_id)
    before = find_release(connection, subject, request.release_number)
    after = None if request.to == "live" else find_release(connection, subject, request.to)

    named = [name for name in registry.names if name in (request.components or registry.names)]
    said = _said_by_both(connection, before, after)
    compared = [name for name in named if name in said]
    second = _second(registry, subject, after)
    found = differences(
        connection,
        registry,
        captured_state(before, registry, role="before"),
        second if request.key is None else of_key(second, request.key),
        [name for name in compared if after is None or not _same_part(name, before, after)],
    )
    return DiffResult(
        toolset_id=subject.toolset_id,
        from_release=before.release_number,
        to=request.to,
        same=not found,
        changes={name: difference.changes for name, difference in found.items()},
        not_compared=tuple(name for name in named if name not in compared),
    )


def _second(registry: Registry, subject: Subject, release: Release | None) -> State:
    return live_state(registry, subject) if release is None else captured_state(release, registry, role="after")


def _said_by_both(connection: Connection, before: Release, after: Release | None) -> frozenset[str]:
    said = said_by(connection, before)
    return said if after is None else said & said_by(connection, after)


def _same_part(component: str, before: Release, after: Release) -> bool:
    """Both releases refer to the same row, in which the component is."""
    if component in TOOLSET_VERSION:
        return before.toolset_version_id == after.toolset_version_id
    if component in SOURCE_STATE:
        return before.source_state_id == after.source_state_id
    if component == "global_variations":
        return before.global_variations_version_id == after.global_variations_version_id
    if component == "toolset_variations":
        return before.toolset_variations_version_id == after.toolset_variations_version_id
    return False
