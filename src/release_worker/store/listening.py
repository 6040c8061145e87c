"""Hearing of requests that came in through SQL: the function `release_worker_request` notifies when it is committed."""

from collections.abc import Generator, Sequence

import psycopg
from sqlalchemy import Connection, Engine

from release_worker.domain.database import channel_of
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import DatabaseUnavailable
from release_worker.store.conflicts import translated
from release_worker.store.requests import COLUMNS, record_of
from release_worker.store.statements import parsed

MOST = 500  # ids that are told together


def heard(engine: Engine, channel: str, *, every: float) -> Generator[list[str]]:
    """The ids of requests that a door notifies in this channel, as soon as their transactions have committed; an empty
    list if there was none for `every` seconds. Needs a session of its own: a pooler in transaction mode lets nothing be
    heard. Raises DatabaseUnavailable."""
    with translated(engine.url.username), engine.connect() as connection:
        driver = connection.connection.dbapi_connection
        assert driver is not None, "it is connected"
        try:
            driver.autocommit = True
            driver.execute(f"LISTEN {channel}")
            while True:
                first = list(driver.notifies(timeout=every, stop_after=1))
                more = list(driver.notifies(timeout=0, stop_after=MOST)) if first else []
                yield [notice.payload for notice in (*first, *more)]
        except psycopg.Error as error:  # the driver is asked itself, so SQLAlchemy has not seen it
            raise DatabaseUnavailable(reason=" ".join(str(error).split())[:300]) from error
        finally:
            connection.invalidate()  # a connection that listens is of no other use


def take_asked(connection: Connection, request_ids: Sequence[str]) -> list[RequestRecord]:
    """Those of these requests that wait and were never published; each is given to one listener only, and is left to
    the sweeper if that one dies."""
    take = f"""
        UPDATE ours.release_requests SET published_at = now()
        WHERE id IN (
            SELECT id FROM ours.release_requests
            WHERE id = ANY (CAST(:ids AS text[])) AND status = 'queued' AND published_at IS NULL
            FOR UPDATE SKIP LOCKED)
        RETURNING {COLUMNS}
    """
    rows = connection.execute(parsed(take), {"ids": list(request_ids)})
    return sorted((record_of(row) for row in rows), key=lambda record: record.seq)


def announce(connection: Connection, request_ids: Sequence[str], *, schema: str) -> None:
    """Let the workers of this schema hear of these requests when the transaction commits."""
    tell = "SELECT pg_notify(:channel, id) FROM unnest(CAST(:ids AS text[])) AS told (id)"
    connection.execute(parsed(tell), {"channel": channel_of(schema), "ids": list(request_ids)})
