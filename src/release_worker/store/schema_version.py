"""Which revision of the schema a database has, and which this version needs: for a probe, and so without Alembic, and
without SQLAlchemy if it can be; importing them takes longer than all that a probe does."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg import errors, sql

from release_worker.domain.database import Database
from release_worker.errors import DatabaseUnavailable

# The apps may keep an Alembic history of their own in the same database.
VERSION_TABLE = "release_worker_alembic_version"

_VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"
_REVISION = re.compile(r'^(down_)?revision\b.*= "(\w+)"$', re.MULTILINE)
_PLAIN_URL = re.compile(
    r"postgresql\+psycopg://(?P<user>[^:/@?]+)(?::(?P<password>[^@]+))?@(?P<host>[\w.-]+)(?::(?P<port>\d+))?/(?P<dbname>\w+)"
)


def known_revisions() -> list[str]:
    """The revisions that this version knows, in their order; it needs the last."""
    after: dict[str | None, str] = {}
    for file in _VERSIONS.glob("*.py"):
        named = {bool(down): revision for down, revision in _REVISION.findall(file.read_text(encoding="utf-8"))}
        after[named.get(True)] = named[False]
    known: list[str] = []
    latest = after.get(None)
    while latest is not None:
        known.append(latest)
        latest = after.get(latest)
    return known


def revision_of(database: Database | str, *, within: float) -> str | None:
    """The revision of a database; None if it has no tables of ours.

    Connecting takes `within` seconds at most, 2 at least. Raises DatabaseUnavailable, and NotConfigured for what is no
    URL of a PostgreSQL.
    """
    database = Database.of(database)
    statement = sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(database.schema, VERSION_TABLE))
    arguments = {
        "application_name": "release_worker healthcheck",
        **connection_arguments(database.url),
        "connect_timeout": max(2, int(within)),
    }
    try:
        with psycopg.connect(**arguments, autocommit=True) as connection:
            row = connection.execute(statement).fetchone()
    except errors.UndefinedTable:
        return None
    except psycopg.Error as error:
        raise DatabaseUnavailable(reason=" ".join(str(error).split())) from error
    return row[0] if row else None


def connection_arguments(database_url: str) -> dict[str, Any]:
    """What an engine for this URL gives to `psycopg.connect`. Raises NotConfigured."""
    plain = _PLAIN_URL.fullmatch(database_url)
    if plain is None:
        from release_worker.store.engine import make_engine

        engine = make_engine(database_url)
        arguments = engine.dialect.create_connect_args(engine.url)[1]
        return {name: value for name, value in arguments.items() if name != "context"}  # SQLAlchemy's adapters
    given = {name: unquote(value) for name, value in plain.groupdict().items() if value is not None}
    return {**given, **({"port": int(given["port"])} if "port" in given else {})}
