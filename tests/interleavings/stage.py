"""One database for all runs, put back to its first state before each, and an engine for each part that is played."""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event, text

from release_worker.store.engine import make_engine
from tests.interleavings.scene import build
from tests.interleavings.stops import Stops

Role = Literal["first", "second"]
Player = Literal["worker", "app"]

_TABLES = """
    SELECT c.relname AS table, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
      AND NOT a.attisdropped AND a.attgenerated = '' AND c.relname <> 'alembic_version'
    GROUP BY c.relname ORDER BY c.relname
"""


class Stage:
    """The scene, and those who play in it; a worker and an app for each role, with connections of their own."""

    def __init__(self, url: str) -> None:
        self.engine = make_engine(url)
        with self.engine.begin() as connection:
            # With the bounds of the worker's transactions, all passes ten times as fast: see `_hurry`.
            connection.exec_driver_sql(f"ALTER DATABASE {self.engine.url.database} SET deadlock_timeout = '100ms'")
        self.engine.dispose()
        self.scene = build(self.engine)
        with self.engine.begin() as connection:
            self._restore = _save(connection)
        self._engines = {
            (role, player): _engine(url, role, player) for role in ("first", "second") for player in ("worker", "app")
        }
        self._stops = {key: Stops(engine) for key, engine in self._engines.items()}
        self.threads = ThreadPoolExecutor(2)

    def reset(self) -> None:
        """Put every row back."""
        with self.engine.begin() as connection:
            connection.exec_driver_sql(self._restore)

    def tidy(self) -> None:
        """Remove what `reset` left behind, so that the last run is as quick as the first."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")

    def engine_of(self, role: str, player: str) -> Engine:
        return self._engines[role, player]

    def stops_of(self, role: str, player: str) -> Stops:
        return self._stops[role, player]

    def waiting(self) -> set[str]:
        """The roles whose sessions wait for a lock."""
        query = text("""
            SELECT application_name FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
        """)
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def close(self) -> None:
        self.threads.shutdown()
        for engine in (self.engine, *self._engines.values()):
            engine.dispose()


def _save(connection: Connection) -> str:
    """Keep a copy of every table; returns the SQL that puts them back, whatever triggers and keys say."""
    connection.execute(text("CREATE SCHEMA saved"))
    deletions, insertions = [], []
    for table, columns in connection.execute(text(_TABLES)).all():
        connection.execute(text(f"CREATE TABLE saved.{table} AS TABLE public.{table}"))
        deletions.append(f"DELETE FROM public.{table}")
        insertions.append(
            f"INSERT INTO public.{table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM saved.{table}"
        )
    return "; ".join(["SET LOCAL session_replication_role = replica", *deletions, *insertions])


def _engine(url: str, role: str, player: str) -> Engine:
    if player == "app":
        return create_engine(url, connect_args={"application_name": role})
    engine = make_engine(url, application_name=role)
    event.listen(engine, "before_cursor_execute", _hurry, retval=True)
    return engine


def _hurry(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool
) -> tuple[str, Any]:
    """A worker waits a tenth as long for a lock: still half of what PostgreSQL waits before it looks for deadlocks."""
    return re.sub(r"lock_timeout = '(\d+)ms'", lambda bound: f"lock_timeout = '{int(bound[1]) // 10}ms'", statement), (
        parameters
    )
