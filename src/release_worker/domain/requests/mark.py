"""Say of a release that it is good or bad."""

from typing import Literal

from release_worker.domain.requests.fields import ReleaseNumber, Text
from release_worker.domain.requests.request import Request, Result

Judgement = Literal["good", "bad"]


class MarkResult(Result):
    """What is said of the release now."""

    release_number: int
    mark: Judgement


class Mark(Request):
    """Say of a release that it is good or bad, and why. The last word counts; what was said before stays in history.

    A rollback to a bad release is refused unless `allow_bad`, and `to="last_good"` passes it by. Pruning keeps the
    newest good one.
    """

    kind = "mark"
    queue = "maintenance"
    result = MarkResult
    positional = ("toolset", "release_number", "mark", "actor", "reason")

    names_releases = ("release_number",)

    release_number: ReleaseNumber
    mark: Judgement
    reason: Text | None = None
