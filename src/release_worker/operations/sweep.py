"""Publish again what is in the ledger and no longer on its way: the broker may have lost any message."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from release_worker.domain.request_record import RequestRecord
from release_worker.errors import BrokerUnavailable, WorkerLost
from release_worker.store.engine import ledger_transaction
from release_worker.store.sweeping import fail_exhausted, take_overdue


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """`patience`: seconds for which a request may wait before it counts as lost; `limit`: how many one sweep
    publishes."""

    patience: float = 15.0
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Swept:
    """Ids of the requests that were published again, and of those that were given up."""

    published: tuple[str, ...]
    given_up: tuple[str, ...]


def sweep(
    engine: Engine, publish: Callable[[RequestRecord], None], *, attempts: int, policy: SweepPolicy | None = None
) -> Swept:
    """Publish overdue requests under the ids that they have, and fail those whose `attempts` are used up.

    Any number of sweepers may run at once. `publish` may raise BrokerUnavailable, which ends the sweep: what was not
    published is overdue again after the same patience.
    """
    policy = policy or SweepPolicy()
    with ledger_transaction(engine) as connection:
        given_up = fail_exhausted(connection, attempts=attempts, error=WorkerLost(attempts=attempts))
        overdue = take_overdue(connection, patience_seconds=policy.patience, limit=policy.limit)
    published: list[str] = []
    for record in overdue:
        try:
            publish(record)
        except BrokerUnavailable:
            break
        published.append(record.id)
    return Swept(tuple(published), tuple(given_up))
