"""Say how a toolset is edited."""

from release_worker.domain.requests.set_mode import SetMode, SetModeResult
from release_worker.state.work import Work
from release_worker.store.owners.holding import hold_toolset
from release_worker.store.owners.staging import set_editing_mode


def set_mode(work: Work, request: SetMode) -> SetModeResult:
    """Change the mode, and nothing else: a staged copy stays as it is. Raises ToolsetNotFound."""
    subject = hold_toolset(work.connection, work.toolset_id)
    set_editing_mode(work.connection, subject, request.mode)
    return SetModeResult(toolset_id=subject.toolset_id, mode=request.mode)
