"""A toolset's mailbox: its requests, worked one at a time in the order in which they were asked."""

from contextlib import ExitStack
from typing import assert_never
from uuid import UUID

from sqlalchemy import Engine

from release_worker.domain.outcomes import ClaimLost, Failed, Outcome, Postponed, Succeeded
from release_worker.domain.request_record import Claim, RequestRecord, Ticket
from release_worker.errors import LockUnavailable, ReleaseWorkerError, WorkerLost
from release_worker.operations.release_at_once import Arrival
from release_worker.store.engine import ledger_transaction, single_statement
from release_worker.store.requests import abandon, claim_next, get_request
from release_worker.store.sweeping import fail_exhausted
from release_worker.worker.executor import Executor
from release_worker.worker.policy import LeasePolicy
from release_worker.worker.telling import tell
from release_worker.worker.toolset_lock import MakeLock, ToolsetLock
from release_worker.worker.turn import Turn


class Mailbox:
    """Works requests on behalf of one worker process, whose name is `worker`."""

    def __init__(
        self, engine: Engine, executor: Executor, make_lock: MakeLock, *, worker: str, leases: LeasePolicy
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._make_lock = make_lock
        self._worker = worker
        self._leases = leases
        self._span = executor.watching.span

    def work(self, record: RequestRecord, *, first: bool = False) -> Succeeded | Failed:
        """Work the requests of this one's toolset in `seq` order until it is done, by this worker or another.
        `first`: its message was delivered for the first time.

        Raises a TransientError if it has to be tried again later: the toolset is busy, this worker's turn is over, or
        the attempt failed.
        """
        if record.finished:
            return record.outcome
        ticket = record.ticket
        turn = Turn(self._leases.turn)
        with ExitStack() as stack:
            lock = self._locked(stack, ticket, wait=self._leases.lock_wait)
            turn.has_lock()
            done = self._at_once(record.ticket_of(first=first), turn)
            if done is not None:
                return done
            claim = self._claim(ticket)
            return self._look(ticket).outcome if claim is None else self._work_on(claim, ticket, lock, turn)

    def work_unseen(self, ticket: Ticket) -> Succeeded | Failed | None:
        """As `work`, without a look at the request's row before. Returns None if there is something to look at: the
        request is done already, it is not in this mailbox, or the toolset is busy and somebody may have done it."""
        turn = Turn(self._leases.turn)
        with ExitStack() as stack:
            try:
                lock = self._locked(stack, ticket, wait=self._leases.lock_wait if ticket.first else 0)
            except LockUnavailable:
                if ticket.first and not self._has_ended(ticket):
                    raise
                return None
            turn.has_lock()
            done = self._at_once(ticket, turn)
            if done is not None:
                return done
            claim = self._claim_next(ticket)
            return None if claim is None else self._work_on(claim, ticket, lock, turn)

    def work_unwritten(self, arrival: Arrival) -> Succeeded | None:
        """As `work_unseen`, of a request whose row is written together with its effect."""
        with ExitStack() as stack:

            def hold(toolset_id: UUID) -> object:
                return self._locked(stack, Ticket(arrival.request_id, toolset_id), wait=0)

            return self._executor.arrives_at_once(arrival, hold, worker=self._worker)

    def abandon(self, request_id: str, error: ReleaseWorkerError) -> None:
        """Mark a request failed that waited in vain."""
        with ledger_transaction(self._engine) as connection:
            abandon(connection, request_id, error)
        tell(Failed(error), request_id=request_id)

    def _work_on(self, claim: Claim, ticket: Ticket, lock: ToolsetLock, turn: Turn) -> Succeeded | Failed:
        """Work from this claim on, until the ticket's request is done."""
        following: Claim | None = claim
        while following is not None:
            turn.measures(following)
            outcome = self._executor.attempt(following, lock)
            turn.goes_on()
            if following.id == ticket.id:
                return self._final(ticket, outcome)
            if turn.is_over:
                raise LockUnavailable(f"requests before {ticket.id} took this worker's turn", request_id=ticket.id)
            following = self._claim(ticket)
        return self._look(ticket).outcome

    def _at_once(self, ticket: Ticket, turn: Turn) -> Succeeded | None:
        """None if the ticket's request is to be claimed."""
        return self._executor.at_once(ticket, worker=self._worker, lock_wait=turn.waited)

    def _final(self, ticket: Ticket, outcome: Outcome) -> Succeeded | Failed:
        """What an attempt at the ticket's own request means for its task."""
        match outcome:
            case Succeeded() | Failed():
                return outcome
            case Postponed(error):
                raise error
            case ClaimLost():
                record = self._look(ticket)
                if record.finished:
                    return record.outcome
                raise LockUnavailable(f"request {record.id} was taken over by another worker", request_id=record.id)
            case _:
                assert_never(outcome)

    def _has_ended(self, ticket: Ticket) -> bool:
        with single_statement(self._engine) as connection:
            record = get_request(connection, ticket.id)
        return record is not None and record.finished

    def _look(self, ticket: Ticket) -> RequestRecord:
        with single_statement(self._engine) as connection:
            record = get_request(connection, ticket.id)
        assert record is not None, f"request {ticket.id} was accepted"
        return record

    def _locked(self, stack: ExitStack, ticket: Ticket, *, wait: float) -> ToolsetLock:
        with self._span("lock"):
            return stack.enter_context(self._make_lock(ticket.toolset_id, f"{self._worker} request {ticket.id}", wait))

    def _claim(self, ticket: Ticket) -> Claim | None:
        """The next request of the mailbox; None if the ticket's own has finished. Raises LockUnavailable if it has not,
        and others are at work."""
        claim = self._claim_next(ticket)
        if claim is not None or self._look(ticket).finished:
            return claim
        attempts, toolset_id = self._executor.attempts, ticket.toolset_id
        lost = WorkerLost(attempts=attempts)
        with ledger_transaction(self._engine) as connection:
            exhausted = fail_exhausted(connection, attempts=attempts, error=lost, toolset_id=toolset_id)
        for request_id in exhausted:
            tell(Failed(lost), request_id=request_id, toolset_id=str(toolset_id))
        if exhausted:
            return self._claim(ticket)
        raise LockUnavailable(toolset_id=str(toolset_id))

    def _claim_next(self, ticket: Ticket) -> Claim | None:
        lease, attempts = self._leases.lease, self._executor.attempts
        with self._span("claim"), single_statement(self._engine) as connection:
            return claim_next(connection, ticket, worker=self._worker, lease_seconds=lease, attempts=attempts)
