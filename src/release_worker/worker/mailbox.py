"""A toolset's mailbox: its requests, worked one at a time in the order in which they were asked."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Protocol, Self
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Engine

from release_worker.domain.messages import printable
from release_worker.domain.request_record import Claim, Ending, InMailbox, RequestRecord, Ticket
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


# Given a toolset, the owner's name, and how many seconds to wait for it.
MakeLock = Callable[[UUID, str, float], ToolsetLock]


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

    def work(self, record: RequestRecord) -> Ending:
        """Work the requests of this one's toolset in `seq` order until it is done, by this worker or another.

        Raises a TransientError where it has to be tried again later: the toolset is busy, this worker's turn is over,
        or the attempt failed.
        """
        if record.finished:
            return record.ending
        with self._lock(record, wait=self._leases.lock_wait) as lock:
            claim = self._claim(record)
            return self._look(record.id).ending if claim is None else self._work_on(claim, record, lock)

    def work_unseen(self, ticket: Ticket) -> Ending | None:
        """As `work`, without a look at the request's row before. None where there is something to look at: the toolset
        is busy, the request is done already, or it is not in this mailbox."""
        with ExitStack() as stack:
            try:
                lock = stack.enter_context(self._lock(ticket, wait=0))
            except LockUnavailable:
                return None
            claim = self._claim_next(ticket)
            return None if claim is None else self._work_on(claim, ticket, lock)

    def _work_on(self, claim: Claim, asked: InMailbox, lock: ToolsetLock) -> Ending:
        """Work from this claim on, until the request that was asked for is done."""
        turn_ends = time.monotonic() + self._leases.turn
        following: Claim | None = claim
        while following is not None:
            result = self._attend(following, lock)
            if following.id == asked.id:
                return self._own_ending(asked, result)
            if time.monotonic() > turn_ends:
                raise LockUnavailable(f"requests before {asked.id} took this worker's turn", request_id=asked.id)
            following = self._claim(asked)
        return self._look(asked.id).ending

    def abandon(self, request_id: str, error: ReleaseWorkerError) -> None:
        """Mark a request failed that waited in vain."""
        with ledger_transaction(self._engine) as connection:
            give_up(connection, request_id, error)

    def _look(self, request_id: str) -> RequestRecord:
        with single_statement(self._engine) as connection:
            record = get_request(connection, request_id)
        assert record is not None, f"request {request_id} was accepted"
        return record

    def _own_ending(self, asked: InMailbox, result: Mapping[str, Any] | None) -> Ending:
        if result is not None:
            return Ending(result)
        record = self._look(asked.id)
        if record.finished:
            return record.ending
        error = record.stored_error()
        if record.status == "queued" and isinstance(error, TransientError):
            raise error
        raise LockUnavailable(f"request {record.id} was taken over by another worker", request_id=record.id)

    def _lock(self, asked: InMailbox, *, wait: float) -> ToolsetLock:
        assert asked.toolset_id is not None, "a request without a toolset has failed"
        return self._make_lock(asked.toolset_id, f"{self._worker} request {asked.id}", wait)

    def _claim(self, asked: InMailbox) -> Claim | None:
        """The next request of the mailbox; None where the one that was asked for is finished. Raises LockUnavailable
        where it is not, and others are at work."""
        claim = self._claim_next(asked)
        if claim is not None or self._look(asked.id).finished:
            return claim
        attempts = self._retry.attempts
        with ledger_transaction(self._engine) as connection:
            gave_up = fail_exhausted(connection, attempts=attempts, error=WorkerLost(attempts=attempts), like=asked)
        if gave_up:
            return self._claim(asked)
        raise LockUnavailable(toolset_id=str(asked.toolset_id))

    def _claim_next(self, asked: InMailbox) -> Claim | None:
        lease, attempts = self._leases.lease, self._retry.attempts
        with single_statement(self._engine) as connection:
            return claim_next(connection, asked, worker=self._worker, lease_seconds=lease, attempts=attempts)

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
        if claim.tries >= self._retry.attempts:
            self._fail(claim, error)
            return
        delay = self._retry.delay(claim.tries - 1)
        with ledger_transaction(self._engine) as connection:
            written = postpone(connection, claim, error, delay_seconds=delay)
        self._note_lost_claim(claim, written)

    def _note_lost_claim(self, claim: Claim, written: bool) -> None:
        """Nothing to write: a commit whose answer was lost had succeeded, or another worker has the request now."""
        if not written:
            logger.warning("request_claim_lost", request_id=claim.id, attempt=claim.attempt)
