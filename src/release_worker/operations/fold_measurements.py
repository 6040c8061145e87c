"""Add what was measured to the totals that metrics show."""

from sqlalchemy import Engine

from release_worker.store.engine import ledger_transaction
from release_worker.store.measuring import fold

_AT_ONCE = 10_000


def fold_measurements(engine: Engine, *, at_once: int = _AT_ONCE) -> int:
    """Fold all that is there, `at_once` rows in a transaction; how many rows that were.

    A row and its place in the totals change in one transaction, so that any number of workers may fold, and be killed
    at any moment.
    """
    folded = 0
    while True:
        with ledger_transaction(engine) as connection:
            taken = fold(connection, limit=at_once)
        folded += taken
        if taken < at_once:
            return folded
