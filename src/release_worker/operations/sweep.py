"""Publish again what is in the ledger and no longer on its way: the broker may have lost any message."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from release_worker.domain.limits import DEFAULTS
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import BrokerUnavailable, InvalidRequest, WorkerLost
from release_worker.store.bundles import forget_bundles
from release_worker.store.engine import ledger_transaction
from release_worker.store.requests import abandon
from release_worker.store.sweeping import fail_exhausted, take_overdue


@dataclass(frozen=True, slots=True)
class SweepPolicy:
    """`patience`: seconds for which a request may wait before it counts as lost; `limit`: how many one sweep
    publishes."""

    patience: float = DEFAULTS.patience
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Swept:
    """Ids of the requests that were published again, of those that failed because their attempts are used up, and of
    those that failed because what their row says is not a valid request. `ended_by`: the broker, which could not be
    reached before all were published."""

    published: tuple[str, ...]
    exhausted: tuple[str, ...]
    refused: tuple[str, ...] = ()
    ended_by: BrokerUnavailable | None = None


def sweep(
    engine: Engine, publish: Callable[[RequestRecord], None], *, attempts: int, policy: SweepPolicy | None = None
) -> Swept:
    """Publish overdue requests under the ids that they have, and fail those whose `attempts` are used up. Forget
    bundles that were to be imported and are kept for no request.

    Anyone may write rows whom the grants allow to: one that is no request fails by itself, with the reason, and the
    sweep goes on. Any number of sweepers may run at once. `publish` may raise BrokerUnavailable, which ends the sweep:
    what was not published is overdue again after the same patience.
    """
    policy = policy or SweepPolicy()
    with ledger_transaction(engine) as connection:
        exhausted = fail_exhausted(connection, attempts=attempts, error=WorkerLost(attempts=attempts))
        overdue = take_overdue(connection, patience_seconds=policy.patience, limit=policy.limit)
        forget_bundles(connection)
    published: list[str] = []
    refused: list[str] = []
    ended_by = None
    for record in overdue:
        try:
            record.request()
            publish(record)
        except BrokerUnavailable as error:
            ended_by = error
            break
        except InvalidRequest as error:
            with ledger_transaction(engine) as connection:
                abandon(connection, record.id, error)
            refused.append(record.id)
        else:
            published.append(record.id)
    return Swept(tuple(published), tuple(exhausted), tuple(refused), ended_by)
