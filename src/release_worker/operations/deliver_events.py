"""Deliver events: at least once, each under its id, and without an open transaction while something is sent."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import Engine

from release_worker.domain.deliveries import DeliveryPolicy, Message, Receiver, Send, Undelivered
from release_worker.store.deliveries import (
    Failure,
    dispatch,
    due_messages,
    lease_receivers,
    note_delivered,
    note_failed,
    release_receiver,
)
from release_worker.store.engine import ledger_transaction, single_statement

_DISPATCHED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one message. `failed` is None if it arrived; `given_up`: there is no other attempt; `disabled`: why
    its subscription is told nothing more, if so."""

    subscription_id: UUID
    event_id: UUID
    failed: str | None = None
    given_up: bool = False
    disabled: str | None = None


def deliver_events(engine: Engine, send: Send, policy: DeliveryPolicy | None = None) -> list[Attempt]:
    """Give each new event to the subscriptions that want it, and send what is due, for a bounded time.

    Each receiver has a thread of its own, and gets its events in their order until one fails. Any number of these may
    run at once. What was sent and not noted, because this process died, is sent again once its lease has run out.
    """
    policy = policy or DeliveryPolicy()
    while True:
        with ledger_transaction(engine) as connection:
            if dispatch(connection, limit=_DISPATCHED_AT_ONCE) < _DISPATCHED_AT_ONCE:
                break
    run = _Run(engine, send, policy)
    with single_statement(engine) as connection:
        receivers = lease_receivers(connection, run.id, policy)
    return run.deliver_to(receivers) if receivers else []


class _Run:
    """One run, whose leases are under its id."""

    def __init__(self, engine: Engine, send: Send, policy: DeliveryPolicy) -> None:
        self.id = uuid4()
        self._engine = engine
        self._send = send
        self._policy = policy
        self._ends = time.monotonic() + policy.run

    def deliver_to(self, receivers: list[Receiver]) -> list[Attempt]:
        """Waits for all, but not for longer than the run and its last attempts may take: a thread that hangs, in the
        lookup of a name for example, is left to itself, and its receiver to the lease."""
        threads = ThreadPoolExecutor(len(receivers), thread_name_prefix="deliver")
        try:
            futures = [threads.submit(self._deliver_all, receiver) for receiver in receivers]
            done, _ = wait(futures, timeout=self._policy.run + self._policy.attempt)
            return [attempt for future in done for attempt in future.result()]
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    def _deliver_all(self, receiver: Receiver) -> list[Attempt]:
        made: list[Attempt] = []
        try:
            for message in self._due(receiver):
                made.append(self._attempt(receiver, message))
                if made[-1].failed is not None:
                    break
        finally:
            with single_statement(self._engine) as connection:
                delivered = any(attempt.failed is None for attempt in made)
                release_receiver(connection, receiver, self.id, delivered=delivered)
        return made

    def _due(self, receiver: Receiver) -> Iterator[Message]:
        """What is due while the run lasts, also what becomes due meanwhile."""
        while time.monotonic() < self._ends:
            with single_statement(self._engine) as connection:
                messages = due_messages(connection, receiver, limit=self._policy.batch)
            for message in messages:
                if time.monotonic() < self._ends:
                    yield message
            if len(messages) < self._policy.batch:
                return

    def _attempt(self, receiver: Receiver, message: Message) -> Attempt:
        failed = self._send(receiver, message)
        if failed is None:
            with single_statement(self._engine) as connection:
                note_delivered(connection, receiver, message)
            return Attempt(receiver.subscription_id, message.id)
        return self._note(receiver, message, failed)

    def _note(self, receiver: Receiver, message: Message, failed: Undelivered) -> Attempt:
        next_wait = None if failed.gone else self._policy.wait(message.attempts + 1)
        failure = Failure(failed.reason, next_wait, disable=failed.gone)
        with ledger_transaction(self._engine) as connection:
            disabled = note_failed(connection, receiver, message, failure, self._policy)
        given_up = next_wait is None or disabled is not None
        return Attempt(receiver.subscription_id, message.id, failed.reason, given_up, disabled)
