"""Remove old releases."""

from typing import Annotated

from pydantic import Field

from release_worker.domain.requests.request import Request, Result


class PruneResult(Result):
    """The numbers of the releases that were removed, and how many are left."""

    pruned: tuple[int, ...]
    kept: int


class Prune(Request):
    """Remove old releases, but for the newest `keep` and those that something still needs."""

    kind = "prune"
    queue = "maintenance"
    result = PruneResult
    positional = ("toolset", "keep", "actor")

    keep: Annotated[int, Field(ge=1, le=1_000_000)]
