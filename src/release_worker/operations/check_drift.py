"""Has live state moved away from the current release?"""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.messages import CheckDriftResult
from release_worker.state.live import differences, live_digests
from release_worker.state.registry import Components
from release_worker.store.captured import captured_contents, captured_parameters, restorable
from release_worker.store.releases import current_release
from release_worker.store.toolsets import toolset_of_id


def check_drift(connection: Connection, *, toolset_id: UUID, components: Components) -> CheckDriftResult:
    """Compare live state with the current release; `changes` lead from the release to live state. Reads only.

    A toolset without a current release has drifted: nothing holds its state, and there is nothing to compare it with.
    Of a release made by older software without a source state, deployment and system are not compared. Raises
    ToolsetNotFound.
    """
    subject = toolset_of_id(connection, toolset_id)
    current = current_release(connection, subject)
    if current is None:
        return CheckDriftResult(toolset_id=subject.toolset_id, drifted=True, current_release_number=None, changes={})
    live = live_digests(connection, components, subject.parameters)
    drifted = live.release != current.digest
    changes = {}
    if drifted:
        parameters = {**subject.parameters, **captured_parameters(current)}
        captured = captured_contents(restorable(connection, current, components.names))
        found = {
            name: differences(connection, components[name], content, components[name].capture(), parameters)
            for name, content in captured.items()
        }
        changes = {name: difference.changes for name, difference in found.items() if difference.changes}
    return CheckDriftResult(
        toolset_id=subject.toolset_id,
        drifted=bool(changes) if current.source_state_id is None else drifted,
        current_release_number=current.release_number,
        changes=changes,
    )
