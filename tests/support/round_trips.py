"""How often a connection waited for PostgreSQL, from libpq's own trace of the protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import Any

from psycopg.pq import PipelineStatus
from sqlalchemy import Connection, Engine, event

from tests.support import elsewhere


@dataclass
class RoundTrips:
    """`number` of the block, once it has ended."""

    number: int = 0
    _traced: list[Any] = field(default_factory=list)
    _sent: int = 0  # statements that ended without a wait


@contextmanager
def round_trips(engine: Engine) -> Iterator[RoundTrips]:
    """Trace each connection of the engine that is used within. Each exchange ends with the server's ReadyForQuery, for
    which nobody waits while the connection stays in pipeline mode."""
    elsewhere.skip_here("the run's own statements would be counted")
    counted = RoundTrips()
    with TemporaryFile("w+") as trace:

        def follow(connection: Any, _record: Any, _proxy: Any) -> None:
            if connection.pgconn not in counted._traced:
                connection.pgconn.trace(trace.fileno())
                counted._traced.append(connection.pgconn)

        def sent(connection: Connection, *_: Any) -> None:
            driver: Any = connection.connection.driver_connection
            counted._sent += driver.info.pipeline_status is not PipelineStatus.OFF

        event.listen(engine, "checkout", follow)
        event.listen(engine, "after_cursor_execute", sent)
        try:
            yield counted
        finally:
            event.remove(engine, "checkout", follow)
            event.remove(engine, "after_cursor_execute", sent)
            for connection in counted._traced:
                connection.untrace()  # which writes out what is still in memory
        trace.seek(0)
        counted.number = sum("ReadyForQuery" in line for line in trace) - counted._sent
