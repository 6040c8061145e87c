"""PostgreSQL's clock: what is decided by time is decided by this one."""

from datetime import datetime

from sqlalchemy import Connection

from release_worker.store.statements import parsed


def now_of(connection: Connection) -> datetime:
    """What time it is to PostgreSQL."""
    now: datetime = connection.execute(parsed("SELECT clock_timestamp()")).scalar_one()
    return now
