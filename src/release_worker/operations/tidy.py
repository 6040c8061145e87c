"""Keep the ledger from growing for ever: delete old requests that nothing names."""

import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from release_worker.store.engine import ledger_transaction
from release_worker.store.forgetting import first_and_last, forget_requests


@dataclass(frozen=True, slots=True)
class TidyPolicy:
    """`keep`: for how long after its end a request stays; None: for ever. `batch`: how many rows one transaction looks
    at. `longest`: seconds after which a pass ends; the next one goes on elsewhere."""

    keep: timedelta | None = timedelta(days=90)
    batch: int = 1000
    longest: float = 30.0


def tidy(engine: Engine, policy: TidyPolicy, *, place: float | None = None) -> Mapping[tuple[str, str], int]:
    """One pass over the ledger; how many requests it deleted, by kind and status.

    Each batch is a transaction of its own, and holds only what it deletes. A pass begins at a `place` between 0 and 1
    of the ledger, by default at any, and goes around: in a ledger that is too long for one, each row has its turn. Any
    number of passes may run at once.
    """
    deleted: Counter[tuple[str, str]] = Counter()
    if policy.keep is None:
        return deleted
    ends = time.monotonic() + policy.longest
    with ledger_transaction(engine) as connection:
        first, last = first_and_last(connection)
    start = first - 1 + int((last - first) * (random.random() if place is None else place))
    for after, until in ((start, last), (first - 1, start)):
        while after < until and time.monotonic() < ends:
            with ledger_transaction(engine) as connection:
                batch = forget_requests(connection, after=after, older_than=policy.keep, size=policy.batch)
            deleted += batch.deleted
            if batch.looked_until is None:
                break
            after = batch.looked_until
    return deleted
