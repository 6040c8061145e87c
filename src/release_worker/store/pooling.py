"""Is there a pooler in front of PostgreSQL, and does it keep track of prepared statements?"""

from dataclasses import dataclass
from typing import Any

import psycopg

from release_worker.errors import DatabaseUnavailable
from release_worker.store.schema_version import connection_arguments

ROUNDS = 4
# A pooler with no session to spare for the second connection would keep it waiting.
LONGEST_WAIT = 3


@dataclass(frozen=True, slots=True)
class Pooling:
    """`by_transaction`: transactions of one connection are carried out in different sessions, so there is a pooler.
    `keeps_statements`: what one of them has prepared is known in the next."""

    by_transaction: bool
    keeps_statements: bool


def pooling(database_url: str) -> Pooling:
    """Found out by trying: while one connection is in a transaction, and so keeps a session, another asks again and
    again. Raises DatabaseUnavailable and NotConfigured."""
    arguments: dict[str, Any] = {
        "application_name": "release-worker doctor",
        **connection_arguments(database_url),
        "connect_timeout": LONGEST_WAIT,
    }
    try:
        with psycopg.connect(**arguments) as holding, psycopg.connect(**arguments, autocommit=True) as asking:
            holding.prepare_threshold = None
            return _tried(holding, asking)
    except psycopg.Error as error:
        raise DatabaseUnavailable(reason=" ".join(str(error).split())) from error


def _tried(holding: "psycopg.Connection[Any]", asking: "psycopg.Connection[Any]") -> Pooling:
    seen: set[int] = set()
    keeps = True
    for _ in range(ROUNDS):
        try:
            seen.add(_session(asking, prepare=keeps))
        except (psycopg.errors.InvalidSqlStatementName, psycopg.errors.DuplicatePreparedStatement):
            keeps = False
            seen.add(_session(asking, prepare=False))
        held = _session(holding, prepare=False)
        if held in seen:  # the other's session is ours now: there are more than two connections have
            try:
                seen.add(_session(asking, prepare=keeps))
            except psycopg.errors.InvalidSqlStatementName:
                keeps = False
            holding.rollback()
            return Pooling(by_transaction=True, keeps_statements=keeps)
        holding.rollback()
    return Pooling(by_transaction=len(seen) > 1, keeps_statements=keeps)


def _session(connection: "psycopg.Connection[Any]", *, prepare: bool) -> int:
    row = connection.execute("SELECT pg_backend_pid()", prepare=prepare).fetchone()
    assert row is not None
    return int(row[0])
