"""Run the use cases as a worker does: a checked request, one transaction, and another try after a conflict."""

from typing import Any, TypeVar

from sqlalchemy import Engine

from release_worker.domain.requests.check_drift import CheckDriftResult
from release_worker.domain.requests.create_release import CreateReleaseResult
from release_worker.domain.requests.kinds import validate_request
from release_worker.domain.requests.request import Request, Result
from release_worker.domain.requests.rollback import RollbackResult
from release_worker.errors import VersionConflict
from release_worker.operations.execute import Addressed, carry_out
from release_worker.state.registry import Registry, built_in_components
from release_worker.store.engine import ledger_transaction
from release_worker.store.owners.naming import find_toolset
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.world import Toolset

ACTOR = "tester"

R = TypeVar("R", bound=Result)


def release(
    engine: Engine,
    toolset: Toolset | str,
    *,
    attempts: int = 1,
    registry: Registry | None = None,
    request_id: str | None = None,
    **fields: Any,
) -> CreateReleaseResult:
    """Create a release. After a VersionConflict it is tried again, `attempts` times in all."""
    request = validate_request("create_release", {"toolset": _reference(toolset), "actor": ACTOR, **fields})
    return _tried(engine, attempts, request, registry, request_id, CreateReleaseResult)


def released_twice(engine: Engine) -> Toolset:
    """A full toolset with two releases, everything different in the second, which live state is."""
    toolset = a_full_toolset(engine)
    release(engine, toolset)
    edit_everything(toolset)
    release(engine, toolset)
    return toolset


def roll_back(
    engine: Engine,
    toolset: Toolset | str,
    number: int,
    *,
    attempts: int = 1,
    registry: Registry | None = None,
    request_id: str | None = None,
    **fields: Any,
) -> RollbackResult:
    """Roll back to the release of this number. After a VersionConflict it is tried again, `attempts` times in all."""
    request = validate_request(
        "rollback", {"toolset": _reference(toolset), "release_number": number, "actor": ACTOR, **fields}
    )
    return _tried(engine, attempts, request, registry, request_id, RollbackResult)


def drift(engine: Engine, toolset: Toolset | str, *, registry: Registry | None = None) -> CheckDriftResult:
    """Compare live state with the current release."""
    request = validate_request("check_drift", {"toolset": _reference(toolset)})
    return _tried(engine, 1, request, registry, None, CheckDriftResult)


def _reference(toolset: Toolset | str) -> str:
    return toolset if isinstance(toolset, str) else str(toolset.id)


def _tried(
    engine: Engine,
    attempts: int,
    request: Request,
    registry: Registry | None,
    request_id: str | None,
    result: type[R],
) -> R:
    """The name is resolved once, as when a request is accepted."""
    with ledger_transaction(engine) as connection:
        toolset_id = find_toolset(connection, request.toolset, organization=request.organization).toolset_id
    registry = registry or built_in_components()
    for attempt in range(1, attempts + 1):
        try:
            done = carry_out(engine, Addressed(request, toolset_id, request_id), registry)
        except VersionConflict:
            if attempt == attempts:
                raise
        else:
            assert isinstance(done, result)
            return done
    raise AssertionError("at least one attempt is needed")
