"""Run the use cases as a worker does: a checked request, one snapshot transaction, and another try after a conflict."""

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from release_worker.domain.messages import (
    CheckDrift,
    CheckDriftResult,
    CreateRelease,
    CreateReleaseResult,
    Rollback,
    RollbackResult,
    validate_request,
)
from release_worker.errors import VersionConflict
from release_worker.operations.check_drift import check_drift
from release_worker.operations.create_release import create_release
from release_worker.operations.rollback import rollback
from release_worker.state.registry import Components, built_in_components
from release_worker.store.engine import snapshot_transaction
from tests.support.world import Toolset

ACTOR = "tester"

Result = TypeVar("Result")


def release(
    engine: Engine,
    toolset: Toolset | str,
    *,
    attempts: int = 1,
    registry: Components | None = None,
    request_id: str | None = None,
    **fields: Any,
) -> CreateReleaseResult:
    """Create a release. After a VersionConflict it is tried again, `attempts` times in all."""
    request = validate_request("create_release", {"toolset": _reference(toolset), "actor": ACTOR, **fields})
    assert isinstance(request, CreateRelease)
    return _in_snapshot(
        engine,
        attempts,
        lambda connection: create_release(
            connection, request, components=registry or built_in_components(), request_id=request_id
        ),
    )


def roll_back(
    engine: Engine,
    toolset: Toolset | str,
    number: int,
    *,
    attempts: int = 1,
    registry: Components | None = None,
    request_id: str | None = None,
    **fields: Any,
) -> RollbackResult:
    """Roll back to the release of this number. After a VersionConflict it is tried again, `attempts` times in all."""
    request = validate_request(
        "rollback", {"toolset": _reference(toolset), "release_number": number, "actor": ACTOR, **fields}
    )
    assert isinstance(request, Rollback)
    return _in_snapshot(
        engine,
        attempts,
        lambda connection: rollback(
            connection, request, components=registry or built_in_components(), request_id=request_id
        ),
    )


def drift(engine: Engine, toolset: Toolset | str, *, registry: Components | None = None) -> CheckDriftResult:
    """Compare live state with the current release."""
    request = validate_request("check_drift", {"toolset": _reference(toolset)})
    assert isinstance(request, CheckDrift)
    return _in_snapshot(
        engine,
        1,
        lambda connection: check_drift(connection, request, components=registry or built_in_components()),
    )


def _reference(toolset: Toolset | str) -> str:
    return toolset if isinstance(toolset, str) else str(toolset.id)


def _in_snapshot(engine: Engine, attempts: int, operation: Callable[[Connection], Result]) -> Result:
    for attempt in range(1, attempts + 1):
        try:
            with snapshot_transaction(engine) as connection:
                return operation(connection)
        except VersionConflict:
            if attempt == attempts:
                raise
    raise AssertionError("at least one attempt is needed")
