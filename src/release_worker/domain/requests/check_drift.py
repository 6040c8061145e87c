"""Compare live state with the current release."""

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.requests.fields import Name
from release_worker.domain.requests.request import Request, Result


class CheckDriftResult(Result):
    """`changes` lead from the current release to live state, by component."""

    drifted: bool
    current_release_number: int | None
    changes: dict[str, ComponentChanges]


class CheckDrift(Request):
    """Compare live state with the current release; changes nothing.

    `changes` are as those of a rollback.
    """

    kind = "check_drift"
    queue = "maintenance"
    result = CheckDriftResult
    positional = ("toolset",)

    actor: Name = "check_drift"

    def only_reads(self) -> bool:
        return True
