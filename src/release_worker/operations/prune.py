"""Remove old releases that nothing needs, without breaking history."""

from release_worker.domain.requests.prune import Prune, PruneResult
from release_worker.state.work import Work
from release_worker.store.owners.holding import hold_toolset
from release_worker.store.retention import collect_garbage, count_releases, delete_releases, prunable_releases


def prune(work: Work, request: Prune) -> PruneResult:
    """Keep the newest `keep` releases, the current one, pinned ones, and those that a rollback, an unfinished request
    or a schedule names; delete the others, and the content that no release refers to any more.

    What came after a deleted release has the nearest kept one before it as its predecessor. Raises ToolsetNotFound, and
    VersionConflict if another transaction began to refer to something that was to be deleted.
    """
    connection = work.connection
    subject = hold_toolset(connection, work.toolset_id)
    doomed = prunable_releases(connection, subject, keep=request.keep)
    if doomed:
        delete_releases(connection, subject, [release_id for release_id, _ in doomed])
    collect_garbage(connection, subject)  # also what was the newest, and so kept, when its last release went
    return PruneResult(
        toolset_id=subject.toolset_id,
        pruned=tuple(number for _, number in doomed),
        kept=count_releases(connection, subject),
    )
