"""Make events and subscriptions, and read the outbox with SQL of the tests' own."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, Row, text

from release_worker.domain.deliveries import DeliveryPolicy, Message, Receiver, Undelivered
from release_worker.domain.events import Event
from release_worker.domain.requests.kinds import validated
from release_worker.domain.subscriptions import NewSubscription
from release_worker.operations.subscribing import subscribe
from release_worker.store.engine import ledger_transaction
from release_worker.store.events import add_event
from tests.support.operations import ACTOR

# Nothing waits for anything but what a test lets be over.
AT_ONCE = replace(DeliveryPolicy(), waits=(0.0, 0.0), first_pause=0.0)


def events(engine: Engine) -> list[Row[Any]]:
    """Every event, in `seq` order."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM release_events ORDER BY seq")))


def events_of_request(engine: Engine, request_id: str) -> list[str]:
    """The types of a request's events, in `seq` order."""
    return [event.type for event in events(engine) if event.data.get("request_id") == request_id]


def happen(engine: Engine, number: int = 1, **fields: Any) -> UUID:
    """Let something happen; returns the event's id."""
    with ledger_transaction(engine) as connection:
        add_event(connection, Event(**{"type": "drift.detected", "data": {"n": number}, **fields}))
    return UUID(str(events(engine)[-1].id))


def subscribed(engine: Engine, **fields: Any) -> UUID:
    """A subscription; at a URL unless a task is given."""
    where = {} if "task" in fields else {"url": "https://example.com/hook"}
    wanted = validated(NewSubscription, {"actor": ACTOR, **where, **fields})
    with ledger_transaction(engine) as connection:
        return subscribe(connection, wanted).subscription_id


def deliveries(engine: Engine) -> list[Row[Any]]:
    """Every delivery, in the order of events."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM release_event_deliveries ORDER BY seq, subscription_id")))


def subscription(engine: Engine, subscription_id: UUID) -> Row[Any]:
    """The row of a subscription."""
    query = "SELECT * FROM release_event_subscriptions WHERE id = :id"
    with engine.connect() as connection:
        return connection.execute(text(query), {"id": subscription_id}).one()


def change(engine: Engine, statement: str) -> None:
    """Move a clock, for example."""
    with engine.begin() as connection:
        connection.execute(text(statement))


class Inbox:
    """A receiver in this process: what came, and what to answer to the next ones."""

    def __init__(self, *answers: Undelivered | None) -> None:
        self.came: list[tuple[UUID, Message]] = []
        self.answers = list(answers)

    def __call__(self, receiver: Receiver, message: Message) -> Undelivered | None:
        self.came.append((receiver.subscription_id, message))
        return self.answers.pop(0) if self.answers else None

    def numbers(self, subscription_id: UUID | None = None) -> list[Any]:
        """The `n` of each event that came, to this subscription or to any."""
        return [one.data["n"] for to, one in self.came if subscription_id in (None, to)]
