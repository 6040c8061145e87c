"""Answer a request that only reads without the queue: for who sits before the database."""

from collections.abc import Mapping
from typing import Any

from release_worker.domain.database import Database
from release_worker.domain.requests.kinds import validate_request
from release_worker.domain.requests.request import Result
from release_worker.operations.execute import Addressed, carry_out
from release_worker.state.registry import Registry
from release_worker.store.engine import make_engine, single_statement
from release_worker.store.owners.naming import find_toolset


def answer(database: Database | str, registry: Registry, kind: str, fields: Mapping[str, Any]) -> Result:
    """The result of a request of this kind with these fields, in one snapshot, on a connection of its own. The ledger
    does not hear of it. Raises InvalidRequest and the errors of the operation."""
    request = validate_request(kind, fields)
    assert request.only_reads(), f"{kind} is asked for through the queue"
    engine = make_engine(database, application_name="release-worker")
    try:
        with single_statement(engine) as connection:
            subject = find_toolset(connection, request.toolset, organization=request.organization)
        return carry_out(engine, Addressed(request, subject.toolset_id), registry)
    finally:
        engine.dispose()
