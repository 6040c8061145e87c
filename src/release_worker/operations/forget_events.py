"""Keep events from growing for ever: delete old ones that nobody waits for."""

import time
from datetime import timedelta

from sqlalchemy import Engine

from release_worker.store.deliveries import delete_old_events
from release_worker.store.engine import ledger_transaction

_BATCH = 1000


def forget_events(engine: Engine, keep: timedelta | None, *, batch: int = _BATCH, longest: float = 30.0) -> int:
    """Delete events that are older than `keep` (None: none of them), with their deliveries; how many. Each batch is a
    transaction of its own; after `longest` seconds the rest is left to the next pass. Any number of passes may run at
    once."""
    deleted = 0
    ends = time.monotonic() + longest
    while keep is not None and time.monotonic() < ends:
        with ledger_transaction(engine) as connection:
            gone = delete_old_events(connection, older_than=keep, limit=batch)
        deleted += gone
        if gone < batch:
            break
    return deleted
