"""Carry out a request for a release at once: without a claim, in one transaction of one statement.

This is the way of most releases, and a shorter one to the same end as that of `operations.execute`. Whatever does not
fit is left untouched for that one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from sqlalchemy import Engine

from release_worker.domain.requests.create_release import CreateRelease
from release_worker.domain.requests.request import Request
from release_worker.errors import LockUnavailable
from release_worker.state.registry import Registry
from release_worker.store.accepting import accept_request
from release_worker.store.at_once import Trial, at_once_statement, write_release_at_once
from release_worker.store.engine import locking_transaction


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request whose message nobody has written down, delivered for the first time, and the id that its row is to
    have. `traceparent`: in whose trace it was sent."""

    request_id: str
    request: Request
    traceparent: str | None = None


class ReleaseAtOnce:
    """What is at once, and how it is done, with these components."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._engine = engine
        self._registry = registry

    def plain(self, request: Request | None) -> CreateRelease | None:
        """The request, if it may be tried at once on the first delivery of its message: one that kills its worker here
        leaves no trace in the ledger, and must be counted the second time.

        Only a plain release, whose answer is always a new one. Only of built-in components: how long a plug-in takes,
        nobody knows.
        """
        if self._registry.plug_ins or not isinstance(request, CreateRelease):
            return None
        has_conditions = request.only_if_changed or request.expected_current_release is not None
        return None if has_conditions or request.override_freeze is not None else request

    def release(self, trial: Trial) -> Mapping[str, Any] | None:
        """The result of the request, as it is stored, committed together with the release; None if nothing was done.

        Raises VersionConflict if another transaction was first, and whatever else a database may say; then nothing was
        done either, unless the connection was lost while it committed.
        """
        with locking_transaction(self._engine) as connection:
            return write_release_at_once(connection, self._statement, trial)

    def accept_and_release(
        self, arrival: Arrival, request: CreateRelease, hold: Callable[[UUID], object], *, worker: str
    ) -> Mapping[str, Any] | None:
        """As `release`, of a request that is written down in the same transaction; None if it is only written down, or
        was before. `hold` takes the toolset's lock, or raises LockUnavailable at once.

        Raises as `accept_request`, too; then it is not written down.
        """
        with locking_transaction(self._engine) as connection:
            record = accept_request(
                connection, request, request_id=arrival.request_id, traceparent=arrival.traceparent
            ).record
            if record.id != arrival.request_id or record.finished:
                return None
            toolset_id = record.ticket.toolset_id
            try:
                hold(toolset_id)
            except LockUnavailable:
                return None
            return write_release_at_once(connection, self._statement, Trial(record.id, toolset_id, request, worker))

    @cached_property
    def _statement(self) -> str:
        return at_once_statement({component.name: component.capture() for component in self._registry})
