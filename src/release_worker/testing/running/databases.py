"""Databases for tests: one that is migrated, and a clone of it for each test."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Connection, Engine, create_engine

from release_worker.domain.database import PUBLIC, Database
from release_worker.embedded.process import eventually
from release_worker.operations.schema import upgrade_schema
from release_worker.store.engine import single_statement
from release_worker.store.statements import parsed

EMPTY = "template0"
_ENDING_SECONDS = 1.0


class Postgres(Protocol):
    """A server in which tests make databases: an embedded one, or that of somebody else."""

    @property
    def admin_url(self) -> str:
        """A database that is there, as a user who may create others."""

    def url(self, database: str) -> str:
        """The URL of a database, in SQLAlchemy's form."""


class Databases:
    """Makes databases, and drops them. A context manager, which keeps one connection: each test needs it twice.

    Raises DatabaseUnavailable if the server does not answer.
    """

    def __init__(self, postgres: Postgres, schema: str = PUBLIC) -> None:
        """`schema` is that of our tables in them."""
        self.postgres = postgres
        self._schema = schema
        self._engine = _administrator(postgres.admin_url)
        self._template: str | None = None

    def __enter__(self) -> "Databases":
        return self

    def __exit__(self, *_: object) -> None:
        if self._template is not None:
            self._drop(self._template)
        self._engine.dispose()

    @property
    def template_url(self) -> str:
        """The database that others are clones of, migrated when it is first asked for. An app may add its own tables
        before the first clone."""
        return self.postgres.url(self._migrated())

    @contextmanager
    def temporary(self, *, template: str | None = None) -> Iterator[str]:
        """The URL of a new database, dropped at the end, whoever is still connected: a clone of the migrated one, or of
        the one of this name, `EMPTY` for a database without our tables."""
        name = _new_name("test")
        self._create(name, template or self._migrated())
        try:
            yield self.postgres.url(name)
        finally:
            self._drop(name)

    def _migrated(self) -> str:
        if self._template is None:
            name = _new_name("template")
            self._create(name, EMPTY)
            self._template = name  # to be dropped, whatever comes of the migration
            upgrade_schema(Database(self.postgres.url(self._template), self._schema))
        return self._template

    def _create(self, name: str, template: str) -> None:
        with single_statement(self._engine) as admin:
            if template != EMPTY:
                _end_sessions(admin, template)
            # A copy of files takes half the time of a copy through the log.
            admin.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")

    def _drop(self, name: str) -> None:
        with single_statement(self._engine) as admin:
            # Sessions that are just ending would make the server sleep for 100 ms before it looks again.
            eventually(lambda: _sessions(admin, name) == 0, within=_ENDING_SECONDS)
            admin.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


def _new_name(what: str) -> str:
    return f"release_worker_{what}_{uuid4().hex}"


def _administrator(url: str) -> Engine:
    """After a restart of the server it connects again."""
    return create_engine(url, pool_size=1, pool_pre_ping=True)


def _sessions(admin: Connection, database: str) -> int:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name"
    count: int = admin.execute(parsed(query), {"name": database}).scalar_one()
    return count


def _end_sessions(admin: Connection, database: str) -> None:
    """PostgreSQL clones no database that somebody is connected to, such as the pool with which an app migrated it."""
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND usename = current_user"
    admin.execute(parsed(end), {"name": database})
