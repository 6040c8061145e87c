"""How PostgreSQL and the ledger are, for an operator."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """`version` as a number, such as 18; `now` on its clock."""

    version: int
    said: str
    now: datetime


def postgres_facts(connection: Connection) -> PostgresFacts:
    """Of the server at the other end."""
    row = connection.execute(
        parsed(
            "SELECT current_setting('server_version_num') AS number, current_setting('server_version') AS said, "
            "clock_timestamp() AS now"
        )
    ).one()
    return PostgresFacts(int(row.number) // 10_000, row.said, row.now)


@dataclass(frozen=True, slots=True)
class StuckRequests:
    """How many requests nobody is at work on although somebody should be, and the id of the oldest of each kind.

    `overdue`: queued, or due for their retry, for longer than a sweeper would leave them; `lapsed`: running under a
    lease that ran out; `exhausted`: of these, those without attempts left.
    """

    overdue: int
    oldest_overdue: str | None
    lapsed: int
    oldest_lapsed: str | None
    exhausted: int


def stuck_requests(connection: Connection, *, longer_than: float, attempts: int) -> StuckRequests:
    """Those that have been so for longer than so many seconds."""
    counted = """
        WITH stuck AS (
            SELECT id, seq, status, attempts - attempts_before >= :attempts AS exhausted FROM ours.release_requests
            WHERE status = 'queued'
                  AND greatest(created_at, published_at, next_attempt_at) < now() - make_interval(secs => :seconds)
               OR status = 'running' AND lease_until < now() - make_interval(secs => :seconds))
        SELECT count(*) FILTER (WHERE status = 'queued') AS overdue,
               (array_agg(id ORDER BY seq) FILTER (WHERE status = 'queued'))[1] AS oldest_overdue,
               count(*) FILTER (WHERE status = 'running') AS lapsed,
               (array_agg(id ORDER BY seq) FILTER (WHERE status = 'running'))[1] AS oldest_lapsed,
               count(*) FILTER (WHERE status = 'running' AND exhausted) AS exhausted
        FROM stuck
    """
    row = connection.execute(parsed(counted), {"seconds": longer_than, "attempts": attempts}).one()
    return StuckRequests(*row)
