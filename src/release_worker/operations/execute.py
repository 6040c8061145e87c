"""One request, one transaction: the effect and `succeeded` commit together."""

from collections.abc import Mapping
from typing import Any, assert_never
from uuid import UUID

from sqlalchemy import Connection, Engine

from release_worker.domain.canonical_json import as_plain
from release_worker.domain.messages import (
    AnyRequest,
    AnyResult,
    CheckDrift,
    CreateRelease,
    Pin,
    Prune,
    Rollback,
    validate_request,
)
from release_worker.domain.request_record import Claim
from release_worker.operations.check_drift import check_drift
from release_worker.operations.create_release import create_release
from release_worker.operations.pin import pin
from release_worker.operations.prune import prune
from release_worker.operations.rollback import rollback
from release_worker.state.blame import blaming
from release_worker.state.registry import Components
from release_worker.store.engine import snapshot_transaction
from release_worker.store.requests import hold, succeed


def execute(engine: Engine, claim: Claim, components: Components) -> Mapping[str, Any]:
    """Carry a claimed request out and mark it done; its result, as it is stored.

    The request's row is held from the first statement on, and marking it comes before the commit and names the attempt,
    so a worker that lost its claim commits nothing.
    Raises the operation's errors, and LockUnavailable where the claim was lost.
    """
    request = validate_request(claim.kind, as_plain(claim.payload))
    with blaming(engine, components, request.toolset), snapshot_transaction(engine) as connection:
        hold(connection, claim)
        result = storable(perform(connection, request, components=components, request_id=claim.id))
        succeed(connection, claim, result)
    return result


def perform(
    connection: Connection, request: AnyRequest, *, components: Components, request_id: str | None = None
) -> AnyResult:
    """Carry a request out in the caller's transaction, which should be a `snapshot_transaction`."""
    match request:
        case CreateRelease():
            return create_release(connection, request, components=components, request_id=request_id)
        case Rollback():
            return rollback(connection, request, components=components, request_id=request_id)
        case CheckDrift():
            return check_drift(connection, request, components=components)
        case Pin():
            return pin(connection, request)
        case Prune():
            return prune(connection, request)
        case _:
            assert_never(request)


def storable(result: AnyResult) -> Mapping[str, Any]:
    """A result as a JSON object; numbers stay exact, and large values what they are."""
    return {name: _storable(value) for name, value in result}


def _storable(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case dict():
            return {name: changed.as_json() for name, changed in value.items()}
        case _:
            return value
