"""Which operation carries out which kind of request."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from release_worker.domain.requests.apply_plan import ApplyPlan
from release_worker.domain.requests.check_drift import CheckDrift
from release_worker.domain.requests.create_release import CreateRelease
from release_worker.domain.requests.diff import Diff
from release_worker.domain.requests.discard import Discard
from release_worker.domain.requests.import_bundle import ImportBundle
from release_worker.domain.requests.mark import Mark
from release_worker.domain.requests.pin import Pin
from release_worker.domain.requests.prune import Prune
from release_worker.domain.requests.publish import Publish
from release_worker.domain.requests.repair import Repair
from release_worker.domain.requests.request import Request, Result
from release_worker.domain.requests.rollback import Rollback
from release_worker.domain.requests.set_mode import SetMode
from release_worker.domain.requests.stage import Stage
from release_worker.domain.requests.status import Status
from release_worker.domain.requests.verify import Verify
from release_worker.operations.apply_plan import apply_plan
from release_worker.operations.create_release import create_release
from release_worker.operations.import_bundle import import_bundle
from release_worker.operations.mark import mark
from release_worker.operations.pin import pin
from release_worker.operations.prune import prune
from release_worker.operations.repair import repair
from release_worker.operations.rollback import rollback
from release_worker.operations.staging import discard, publish, set_mode, stage
from release_worker.queries.check_drift import check_drift
from release_worker.queries.diff import diff
from release_worker.queries.status import status
from release_worker.queries.verify import verify
from release_worker.state.work import Work

R = TypeVar("R", bound=Request)
Operation = Callable[[Work, Any], Result]


def _carried_out_by(kind: type[R], operation: Callable[[Work, R], Result]) -> tuple[str, Operation]:
    """One entry; mypy checks that the operation takes requests of the kind."""
    return kind.kind, operation


OPERATIONS: Mapping[str, Operation] = dict(
    (
        _carried_out_by(CreateRelease, create_release),
        _carried_out_by(Rollback, rollback),
        _carried_out_by(ApplyPlan, apply_plan),
        _carried_out_by(Repair, repair),
        _carried_out_by(CheckDrift, check_drift),
        _carried_out_by(Diff, diff),
        _carried_out_by(Pin, pin),
        _carried_out_by(Prune, prune),
        _carried_out_by(Status, status),
        _carried_out_by(Verify, verify),
        _carried_out_by(Mark, mark),
        _carried_out_by(Stage, stage),
        _carried_out_by(Publish, publish),
        _carried_out_by(Discard, discard),
        _carried_out_by(SetMode, set_mode),
        _carried_out_by(ImportBundle, import_bundle),
    )
)


def perform(work: Work, request: Request) -> Result:
    """Carry a request out in the caller's transaction: one of `store.live_snapshot` if it only reads, and otherwise a
    `locking_transaction`. Raises the operation's errors."""
    return OPERATIONS[request.kind](work, request)
