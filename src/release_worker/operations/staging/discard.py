"""Delete the staged copy of a toolset."""

from release_worker.domain.requests.discard import Discard, DiscardResult
from release_worker.operations.staging.pair import hold_pair
from release_worker.state.work import Work
from release_worker.store.owners.staging import delete_copy


def discard(work: Work, request: Discard) -> DiscardResult:
    """Delete the toolset that names this one as its parent, as apps delete: no slug is looked at, and what the copy
    held stays in its rows. Raises ToolsetNotFound, also if there is no copy, and VersionConflict."""
    parent, copy = hold_pair(work.connection, work.toolset_id)
    delete_copy(work.connection, parent, copy)
    return DiscardResult(toolset_id=parent.toolset_id, discarded_toolset_id=copy.toolset_id, discarded_path=copy.path)
