"""Remove old releases that nothing needs, without breaking history."""

from sqlalchemy import Connection

from release_worker.domain.messages import Prune, PruneResult
from release_worker.store.retention import collect_garbage, count_releases, delete_releases, prunable_releases
from release_worker.store.toolsets import find_toolset, lock_toolset


def prune(connection: Connection, request: Prune) -> PruneResult:
    """Keep the newest `keep` releases, the current one, pinned ones, and those that a rollback or an unfinished request
    names; delete the others, and the content that only they referred to.

    What came after a deleted release has the nearest kept one before it as its predecessor. Raises ToolsetNotFound, and
    VersionConflict where another transaction began to refer to something that was to be deleted.
    """
    subject = find_toolset(connection, request.toolset, organization=request.organization)
    lock_toolset(connection, subject)
    doomed = prunable_releases(connection, subject, keep=request.keep)
    if doomed:
        delete_releases(connection, subject, [release_id for release_id, _ in doomed])
        collect_garbage(connection, subject)
    return PruneResult(
        toolset_id=subject.toolset_id,
        pruned=tuple(number for _, number in doomed),
        kept=count_releases(connection, subject),
    )
