"""Has live state moved away from the current release?"""

from release_worker.domain.requests.check_drift import CheckDrift, CheckDriftResult
from release_worker.state.differences import differences
from release_worker.state.states import captured_state, live_state
from release_worker.state.work import Work
from release_worker.store.captured import digest_today, said_by
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.releases import current_release


def check_drift(work: Work, request: CheckDrift) -> CheckDriftResult:
    """Compare live state with the current release; `changes` lead from the release to live state. Reads only.

    A toolset without a current release has drifted: nothing holds its state, and there is nothing to compare it with.
    If older software made the release without a source state, deployment and system are not compared. Raises
    ToolsetNotFound.
    """
    connection, registry = work.connection, work.registry
    subject = toolset_of_id(connection, work.toolset_id)
    current = current_release(connection, subject)
    if current is None:
        return CheckDriftResult(toolset_id=subject.toolset_id, drifted=True, current_release_number=None, changes={})
    live = live_state(registry, subject)
    digest = live.digests(connection).release
    drifted = digest != current.digest and digest != digest_today(connection, current, registry.parts)
    changes = {}
    if drifted:
        captured = captured_state(current, registry)
        said = said_by(connection, current)
        names = [name for name in registry.names if name in said]
        found = differences(connection, registry, captured, live, names)
        changes = {name: difference.changes for name, difference in found.items()}
    return CheckDriftResult(
        toolset_id=subject.toolset_id,
        drifted=bool(changes) if current.source_state_id is None else drifted,
        current_release_number=current.release_number,
        changes=changes,
    )
