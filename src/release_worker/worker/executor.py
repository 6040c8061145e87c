"""One attempt at a request, claimed or at once: carry it out, write its outcome down, and log it."""

import time
from collections.abc import Callable, Mapping
from typing import Any, assert_never
from uuid import UUID

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from release_worker.domain.outcomes import ClaimLost, Failed, Outcome, Postponed, Succeeded
from release_worker.domain.request_record import Claim, Ticket
from release_worker.domain.requests.create_release import CreateRelease
from release_worker.domain.tellable import tellable, words_of
from release_worker.errors import (
    OperationTimeout,
    PermanentError,
    ReleaseWorkerError,
    TransientError,
    UnexpectedFailure,
)
from release_worker.operations.execute import execute
from release_worker.operations.release_at_once import Arrival, ReleaseAtOnce
from release_worker.state.registry import Registry
from release_worker.store.at_once import Trial
from release_worker.store.conflicts import without_values
from release_worker.store.engine import ledger_transaction
from release_worker.store.requests import fail, postpone, renew_lease
from release_worker.worker.heartbeat import Heartbeat
from release_worker.worker.policy import LeasePolicy, RetryPolicy
from release_worker.worker.progress import Progress
from release_worker.worker.telling import about_request, tell
from release_worker.worker.toolset_lock import ToolsetLock
from release_worker.worker.watching import Watching

logger = structlog.get_logger(__name__)


class Executor:
    """Makes attempts on behalf of one worker process."""

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        *,
        retry: RetryPolicy,
        leases: LeasePolicy,
        watching: Watching | None = None,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._at_once = ReleaseAtOnce(engine, registry)
        self._retry = retry
        self._leases = leases
        self.watching = watching or Watching()

    @property
    def attempts(self) -> int:
        """How many attempts a request has, over all workers."""
        return self._retry.attempts

    def attempt(self, claim: Claim, lock: ToolsetLock) -> Outcome:
        """Carry a claimed request out while its lock is held. Raises only if the outcome could not be written down."""
        begun = time.monotonic()
        with self.watching.span(
            f"attempt {claim.kind}",
            parent=claim.traceparent,
            request_id=claim.id,
            kind=claim.kind,
            toolset_id=str(claim.toolset_id),
            attempt=claim.attempt,
        ):
            logger.info("request_started", request_id=claim.id, **_about(claim))
            claim.timings.around = self.watching.tracing.span
            outcome = self._written_down(claim, self._carried_out(claim, lock))
            self.watching.ended(outcome)
            tell(outcome, request_id=claim.id, **_about(claim), duration=round(time.monotonic() - begun, 3))
        return outcome

    def at_once(self, ticket: Ticket, *, worker: str, lock_wait: float) -> Succeeded | None:
        """Carry a request out that nobody has claimed while its lock is held; None if it must be claimed for that.

        Whatever goes wrong, goes wrong again with a claim, and there is told. Raises OperationTimeout if the task's
        time is up.
        """
        request = self._at_once.plain(ticket.said) if ticket.first else None
        if request is None:
            return None
        trial = Trial(ticket.id, ticket.toolset_id, request, worker, lock_wait)
        return self._tried(ticket.id, request, lambda: self._at_once.release(trial))

    def arrives_at_once(self, arrival: Arrival, hold: Callable[[UUID], object], *, worker: str) -> Succeeded | None:
        """As `at_once`, of a request that is not written down yet; `hold` takes the lock of its toolset, or raises
        LockUnavailable at once. None if it must be written down, and claimed."""
        request = self._at_once.plain(arrival.request)
        if request is None:
            return None
        return self._tried(
            arrival.request_id,
            request,
            lambda: self._at_once.accept_and_release(arrival, request, hold, worker=worker),
        )

    def _tried(
        self, request_id: str, request: CreateRelease, work: Callable[[], Mapping[str, Any] | None]
    ) -> Succeeded | None:
        begun = time.monotonic()
        with self.watching.span("at once", request_id=request_id):
            try:
                result = work()
            except SoftTimeLimitExceeded:
                raise OperationTimeout from None
            except (ReleaseWorkerError, SQLAlchemyError) as error:
                shown = without_values(error)
                logger.info("request_not_at_once", request_id=request_id, reason=f"{type(shown).__name__}: {shown}")
                return None
            if result is None:
                return None
            outcome = Succeeded(result)
            self.watching.ended(outcome)
        about = about_request(request.kind, {"toolset": request.toolset, "actor": request.actor})
        about |= {"attempt": 1, "toolset_id": result["toolset_id"]}
        tell(outcome, request_id=request_id, **about, duration=round(time.monotonic() - begun, 3))
        return outcome

    def _carried_out(self, claim: Claim, lock: ToolsetLock) -> Succeeded | Failed | Postponed:
        progress = Progress(claim.id, claim.timings, self.watching.tell_state)
        try:
            with (
                Heartbeat(lambda: self._stay_alive(claim, lock), interval=self._leases.renew_every),
                Heartbeat(progress, interval=self._leases.progress_interval),
            ):
                return Succeeded(self._retry.at_once(lambda: execute(self._engine, claim, self._registry)))
        except PermanentError as error:
            return Failed(tellable(error))
        except TransientError as error:
            return self._again(claim, error)
        except SoftTimeLimitExceeded:
            return self._again(claim, OperationTimeout())
        except Exception as error:  # a defect, perhaps of a plug-in: it fails this request, not the worker
            shown = without_values(error)
            logger.exception("request_broke", exc_info=shown, request_id=claim.id, **_about(claim))
            failure = UnexpectedFailure(reason=f"{type(shown).__name__}: {words_of(shown)}")
            failure.__cause__ = shown  # the task's traceback then shows where it broke
            return Failed(failure)

    def _again(self, claim: Claim, error: TransientError) -> Failed | Postponed:
        """Failed, if its attempts are used up."""
        told = tellable(error)
        assert isinstance(told, TransientError), "it stays transient"
        if claim.tries >= self._retry.attempts:
            return Failed(told)
        return Postponed(told, self._retry.delay(claim.tries - 1))

    def _stay_alive(self, claim: Claim, lock: ToolsetLock) -> None:
        lock.renew()
        with ledger_transaction(self._engine) as connection:
            renew_lease(connection, claim, lease_seconds=self._leases.lease)

    def _written_down(self, claim: Claim, outcome: Succeeded | Failed | Postponed) -> Outcome:
        """The outcome, if the claim is still good; a success was written down together with its effect."""
        if isinstance(outcome, Succeeded):
            return outcome
        with ledger_transaction(self._engine) as connection:
            match outcome:
                case Failed(error):
                    written = fail(connection, claim, error)
                case Postponed(error, delay):
                    written = postpone(connection, claim, error, delay_seconds=delay)
                case _:
                    assert_never(outcome)
        return outcome if written else ClaimLost()


def _about(claim: Claim) -> dict[str, object]:
    """What every line says of an attempt."""
    return {"attempt": claim.attempt, "toolset_id": str(claim.toolset_id), **about_request(claim.kind, claim.payload)}
