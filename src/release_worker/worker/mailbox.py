"""A toolset's mailbox: its requests, worked one at a time in the order in which they were asked."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, Self
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Engine

from release_worker.domain.messages import printable
from release_worker.domain.request_record import Claim, RequestRecord
from release_worker.errors import (
    LockUnavailable,
    OperationTimeout,
    PermanentError,
    ReleaseWorkerError,
    TransientError,
    UnexpectedFailure,
    WorkerLost,
)
from release_worker.operations.execute import execute
from release_worker.state.registry import Components
from release_worker.store.conflicts import without_values
from release_worker.store.engine import ledger_transaction, single_statement
from release_worker.store.requests import claim_next, fail, get_request, give_up, postpone, renew_lease
from release_worker.store.sweeping import fail_exhausted
from release_worker.worker.heartbeat import Heartbeat
from release_worker.worker.policy import LeasePolicy, RetryPolicy

logger = structlog.get_logger(__name__)


class ToolsetLock(Protocol):
    """What keeps other workers away from a toolset while it is entered."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def renew(self) -> bool:
        """Keep it for longer; False where it is lost."""


class NoLock:
    """For where there is no Redis: PostgreSQL alone keeps the order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def renew(self) -> bool:
        return True


# Given a toolset and the owner's name.
MakeLock = Callable[[UUID, str], ToolsetLock]


class Mailbox:
    """Works requests on behalf of one worker process."""

    def __init__(
        self,
        engine: Engine,
        components: Components,
        make_lock: MakeLock,
        *,
        worker: str,
        retry: RetryPolicy,
        leases: LeasePolicy,
    ) -> None:
        self._engine = engine
        self._components = components
        self._make_lock = make_lock
        self._worker = worker
        self._retry = retry
        self._leases = leases

    def work(self, record: RequestRecord) -> RequestRecord:
        """Work the requests of this one's toolset in `seq` order until it is done, by this worker or another.

        Returns it finished; of one that this worker finished, `attempts` and times are those that were given. Raises a
        TransientError where it has to be tried again later: the toolset is busy, this worker's turn is over, or the
        attempt failed.
        """
        if record.finished:
            return record
        turn_ends = time.monotonic() + self._leases.turn
        with self._lock(record) as lock:
            while (claim := self._claim(record)) is not None:
                result = self._attend(claim, lock)
                if claim.id == record.id:
                    return self._own_outcome(record, result)
                if time.monotonic() > turn_ends:
                    raise LockUnavailable(f"requests before {record.id} took this worker's turn", request_id=record.id)
            return self._look(record.id)

    def abandon(self, request_id: str, error: ReleaseWorkerError) -> None:
        """Mark a request failed that waited in vain."""
        with ledger_transaction(self._engine) as connection:
            give_up(connection, request_id, error)

    def _look(self, request_id: str) -> RequestRecord:
        with single_statement(self._engine) as connection:
            record = get_request(connection, request_id)
        assert record is not None, f"request {request_id} was accepted"
        return record

    def _own_outcome(self, record: RequestRecord, result: Mapping[str, Any] | None) -> RequestRecord:
        if result is not None:
            return replace(record, status="succeeded", result=dict(result), error=None)
        record = self._look(record.id)
        if record.finished:
            return record
        error = record.stored_error()
        if record.status == "queued" and isinstance(error, TransientError):
            raise error
        raise LockUnavailable(f"request {record.id} was taken over by another worker", request_id=record.id)

    def _lock(self, record: RequestRecord) -> ToolsetLock:
        if record.toolset_id is None:
            return NoLock()
        return self._make_lock(record.toolset_id, f"{self._worker} request {record.id}")

    def _claim(self, record: RequestRecord) -> Claim | None:
        """The next request of the mailbox; None where `record` is finished. Raises LockUnavailable where it is not, and
        others are at work."""
        claim = self._claim_next(record)
        if claim is not None or self._look(record.id).finished:
            return claim
        attempts = self._retry.attempts
        with ledger_transaction(self._engine) as connection:
            gave_up = fail_exhausted(connection, attempts=attempts, error=WorkerLost(attempts=attempts), like=record)
        if gave_up:
            return self._claim(record)
        raise LockUnavailable(toolset_id=str(record.toolset_id))

    def _claim_next(self, record: RequestRecord) -> Claim | None:
        lease, attempts = self._leases.lease, self._retry.attempts
        with single_statement(self._engine) as connection:
            return claim_next(connection, record, worker=self._worker, lease_seconds=lease, attempts=attempts)

    def _attend(self, claim: Claim, lock: ToolsetLock) -> Mapping[str, Any] | None:
        """Carry one request out and write down how it ended; its result, None where it did not succeed. Raises only
        where that could not be written."""
        log = logger.bind(request_id=claim.id, kind=claim.kind, attempt=claim.attempt)
        log.info("request_started")
        try:
            with Heartbeat(lambda: self._stay_alive(claim, lock), interval=self._leases.renew_every):
                result = self._retry.at_once(lambda: execute(self._engine, claim, self._components))
        except PermanentError as error:
            log.info("request_failed", error=type(error).__name__)
            self._fail(claim, error)
        except TransientError as error:
            log.warning("request_postponed", error=type(error).__name__, reason=str(error))
            self._postpone(claim, error)
        except SoftTimeLimitExceeded:
            log.warning("request_timed_out")
            self._postpone(claim, OperationTimeout())
        except Exception as error:  # a defect, perhaps of a plug-in: it fails this request, not the worker
            shown = without_values(error)
            log.exception("request_broke", exc_info=shown)
            self._fail(claim, UnexpectedFailure(reason=printable(f"{type(shown).__name__}: {shown}", 1000)))
        else:
            log.info("request_succeeded")
            return result
        return None

    def _stay_alive(self, claim: Claim, lock: ToolsetLock) -> None:
        lock.renew()
        with ledger_transaction(self._engine) as connection:
            renew_lease(connection, claim, lease_seconds=self._leases.lease)

    def _fail(self, claim: Claim, error: ReleaseWorkerError) -> None:
        with ledger_transaction(self._engine) as connection:
            written = fail(connection, claim, error)
        self._note_lost_claim(claim, written)

    def _postpone(self, claim: Claim, error: TransientError) -> None:
        """Queue it again, or fail it where its attempts are used up."""
        if claim.attempt >= self._retry.attempts:
            self._fail(claim, error)
            return
        delay = self._retry.delay(claim.attempt - 1)
        with ledger_transaction(self._engine) as connection:
            written = postpone(connection, claim, error, delay_seconds=delay)
        self._note_lost_claim(claim, written)

    def _note_lost_claim(self, claim: Claim, written: bool) -> None:
        """Nothing to write: a commit whose answer was lost had succeeded, or another worker has the request now."""
        if not written:
            logger.warning("request_claim_lost", request_id=claim.id, attempt=claim.attempt)
