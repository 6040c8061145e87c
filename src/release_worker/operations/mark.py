"""Say of a release that it is good or bad."""

from release_worker.domain.requests.mark import Mark, MarkResult
from release_worker.state.work import Work
from release_worker.store.marks import insert_mark
from release_worker.store.owners.holding import hold_toolset
from release_worker.store.releases import find_release


def mark(work: Work, request: Mark) -> MarkResult:
    """Note it, after what was said of the release before. Raises ToolsetNotFound and ReleaseNotFound."""
    subject = hold_toolset(work.connection, work.toolset_id)
    release = find_release(work.connection, subject, request.release_number)
    insert_mark(work.connection, release.id, request, request_id=work.request_id)
    return MarkResult(toolset_id=subject.toolset_id, release_number=release.release_number, mark=request.mark)
