"""Put live state back to the current release."""

from release_worker.domain.requests.fields import ComponentNames, Reason, Text
from release_worker.domain.requests.request import Request
from release_worker.domain.requests.rollback import OnMissing, RollbackResult


class RepairResult(RollbackResult):
    """The answer of a rollback to the current release."""


class Repair(Request):
    """Put live state back to the current release, which keeps its number. Live edits are kept in a backup first.

    The options and the answer are those of a rollback.
    """

    kind = "repair"
    queue = "rollbacks"
    result = RepairResult
    positional = ("toolset", "actor", "reason", "components", "on_missing", "allow_shared_impact")
    later = ("override_freeze",)

    reason: Text | None = None
    components: ComponentNames | None = None
    on_missing: OnMissing = "fail"
    allow_shared_impact: bool = False
    override_freeze: Reason | None = None
