"""What was counted and measured, in short forms."""

from collections import Counter

from sqlalchemy import Engine, text

from release_worker.operations.fold_measurements import fold_measurements
from release_worker.store.engine import ledger_transaction
from release_worker.store.measuring import Total, read_totals


def totals(engine: Engine) -> list[Total]:
    """All of them."""
    with ledger_transaction(engine) as connection:
        return read_totals(connection)


def counted(engine: Engine, *names: str) -> dict[str, int]:
    """`name kind label` without what is empty, of totals of these names or of all; durations over all bounds."""
    found: Counter[str] = Counter()
    for total in totals(engine):
        if total.name in names or not names:
            found[" ".join(filter(None, (total.name, total.kind, total.label)))] += total.count
    return dict(found)


def fold(engine: Engine, *, at_once: int = 10_000) -> int:
    return fold_measurements(engine, at_once=at_once)


def unfolded(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM release_measurements")).scalar_one())


def assert_the_ledger_is_counted(engine: Engine) -> None:
    """Each attempt and each request that the ledger tells of, once; for a ledger whose failures nobody brought back."""
    ended = """
        SELECT 'requests ' || kind || ' ' || status, count(*) FROM release_requests
        WHERE status IN ('succeeded', 'failed') GROUP BY 1
    """
    made = "SELECT coalesce(sum(attempts - CAST(status = 'running' AS int)), 0) FROM release_requests"
    with engine.connect() as connection:
        assert counted(engine, "requests") == {str(name): count for name, count in connection.execute(text(ended))}
        assert sum(counted(engine, "attempts").values()) == connection.execute(text(made)).scalar_one()
