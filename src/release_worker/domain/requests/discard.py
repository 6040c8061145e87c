"""Delete the staged copy of a toolset."""

from uuid import UUID

from release_worker.domain.requests.request import Request, Result


class DiscardResult(Result):
    """The toolset, and the copy that it no longer has."""

    discarded_toolset_id: UUID
    discarded_path: str


class Discard(Request):
    """Delete the staged copy of a toolset, with all edits in it, and nothing else."""

    kind = "discard"
    queue = "maintenance"
    result = DiscardResult
    positional = ("toolset", "actor")
