"""Make a staged copy of a toolset."""

from uuid import UUID

from release_worker.domain.requests.request import Request, Result


class StageResult(Result):
    """The copy: its id and its path. `created` is False if it was there already."""

    path: str
    parent_toolset_id: UUID
    created: bool


class Stage(Request):
    """Make a copy of a toolset to edit in its place, or answer with the copy that is there.

    The copy is a toolset of the same project with the same tools, resources, settings, variations and state of
    plug-ins.
    """

    kind = "stage"
    queue = "maintenance"
    result = StageResult
    positional = ("toolset", "actor")
