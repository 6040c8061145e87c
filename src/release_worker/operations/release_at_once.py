"""Carry out a request for a release at once: without a claim, in one transaction of one statement.

This is the way of most releases, and a shorter one to the same end as that of `operations.execute`. Whatever does not
fit is left untouched for that one.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from release_worker.domain.request_record import Ticket
from release_worker.domain.requests.create_release import CreateRelease
from release_worker.errors import InvalidRequest
from release_worker.state.registry import Registry
from release_worker.store.at_once import Trial, at_once_statement, write_release_at_once
from release_worker.store.engine import snapshot_transaction


def request_at_once(ticket: Ticket, registry: Registry) -> CreateRelease | None:
    """What the ticket's row asks for, if that may be carried out at once.

    Only on the first delivery of its message: a request that kills its worker here leaves no trace in the ledger, and
    must be counted the second time. Only a plain release, whose answer is always a new one. Only of built-in
    components: how long a plug-in takes, nobody knows.
    """
    if not ticket.first or ticket.said is None or ticket.said[0] != CreateRelease.kind or registry.plug_ins:
        return None
    try:
        request = ticket.request()
    except InvalidRequest:
        return None
    return request if isinstance(request, CreateRelease) and _is_plain(request) else None


def _is_plain(request: CreateRelease) -> bool:
    return not (request.only_if_changed or request.expected_current_release is not None or request.override_freeze)


def release_at_once(engine: Engine, registry: Registry, trial: Trial) -> Mapping[str, Any] | None:
    """The result of the request, as it is stored, committed together with the release; None if nothing was done.

    Raises VersionConflict if another transaction was first, and whatever else a database may say; then nothing was
    done either, unless the connection was lost while it committed.
    """
    statement = at_once_statement({component.name: component.capture() for component in registry})
    with snapshot_transaction(engine) as connection:
        return write_release_at_once(connection, statement, trial)
