"""One request, one transaction: the effect and `succeeded` commit together."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from release_worker.domain.changes import ComponentChanges
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.request_record import Claim
from release_worker.domain.requests.request import Request, Result
from release_worker.domain.subject import Scope
from release_worker.domain.timings import Timings
from release_worker.errors import VersionConflict
from release_worker.operations.performing import perform
from release_worker.operations.restoring import MoreToHold
from release_worker.state.blame import blaming
from release_worker.state.registry import Registry
from release_worker.state.work import Work
from release_worker.store.engine import locking_transaction, single_statement
from release_worker.store.live_snapshot import live_snapshot_transaction, records_snapshot_transaction
from release_worker.store.owners.holding import wait_for_owners
from release_worker.store.requests import hold, succeed
from release_worker.store.statements import duration

_BUSY = "55P03"  # lock_not_available


@dataclass(frozen=True, slots=True)
class Addressed:
    """A request, for the toolset that it was accepted for; `request_id` goes into what it writes."""

    request: Request
    toolset_id: UUID
    request_id: str | None = None


def execute(engine: Engine, claim: Claim, registry: Registry) -> Mapping[str, Any]:
    """Carry a claimed request out and mark it done; its result, as it is stored.

    The request belongs to the toolset that it was accepted for, whatever that toolset's name means now. Raises the
    operation's errors, InvalidRequest for a row that is no request, and LockUnavailable if the claim was lost.
    """
    addressed = Addressed(claim.request(), claim.toolset_id, claim.id)
    return storable(carry_out(engine, addressed, registry, claim))


def carry_out(engine: Engine, addressed: Addressed, registry: Registry, claim: Claim | None = None) -> Result:
    """Carry a request out in a transaction of its own; with `claim`, mark it done in the same one.

    The claimed request's row is held from the first statement on, and marking it comes before the commit and names the
    attempt, so a worker that lost its claim commits nothing. If rows that are needed were busy, waits until they have
    been free before it raises VersionConflict: the caller may try again at once.
    """
    request, toolset_id = addressed.request, addressed.toolset_id
    written: frozenset[Scope] = frozenset()
    timings = Timings() if claim is None else claim.timings
    begin = _beginning(request)
    while True:
        try:
            with blaming(engine, registry, str(toolset_id)), begin(engine) as connection:
                if claim is not None:
                    hold(connection, claim)
                work = Work(connection, toolset_id, registry, addressed.request_id, written, timings)
                result = perform(work, request)
                if claim is not None:
                    with timings.around("succeed"):
                        succeed(connection, claim, storable(result))
        except MoreToHold as more:
            written |= more.scopes
        except VersionConflict as conflict:
            if conflict.details.get("sqlstate") == _BUSY:
                with single_statement(engine) as connection:
                    wait_for_owners(connection, toolset_id, longest=duration(DEFAULTS.owner_wait))
            raise
        else:
            return result


def _beginning(request: Request) -> Callable[[Engine], AbstractContextManager[Connection]]:
    if request.reads_records_alone():
        return records_snapshot_transaction
    return live_snapshot_transaction if request.only_reads() else locking_transaction


def storable(result: Result) -> Mapping[str, Any]:
    """A result as a JSON object, with the fields that its operation gave. Numbers stay exact, and large values are not
    copied."""
    names = result.names()
    return {names[field]: _storable(value) for field, value in result if field in result.model_fields_set}


def _storable(value: Any) -> Any:
    match value:
        case UUID():
            return str(value)
        case dict():
            return {name: _storable(item) for name, item in value.items()}
        case ComponentChanges():
            return value.as_json()
        case _:
            return value
