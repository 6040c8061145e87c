"""One migrated template database a session, one clone of it a test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from release_worker import migrations
from release_worker.embedded import EmbeddedPostgres, EmbeddedServers, embedded_servers
from release_worker.embedded.process import eventually

TEMPLATE = "release_worker_template"

# A database takes 8 MB, and the write-ahead log up to 1 GB.
_ENOUGH_MEMORY = 3 * 2**30


class Postgres(Protocol):
    """A server in which tests make databases: an embedded one, or that of somebody else."""

    @property
    def admin_url(self) -> str:
        """A database that is there, as a superuser."""

    def url(self, database: str) -> str:
        """The URL of a database, in SQLAlchemy's form."""


@contextmanager
def running_servers() -> Iterator[EmbeddedServers]:
    """PostgreSQL and Valkey in memory, where there is enough of it, with the template in place."""
    with tempfile.TemporaryDirectory(prefix="release-worker-tests-", dir=_memory()) as parent:
        Path(parent).chmod(0o711)  # as root, PostgreSQL runs as another user
        with embedded_servers(Path(parent) / "data") as servers:
            _spare_flushes(servers.postgres)
            with template_database(servers.postgres):
                yield servers


@contextmanager
def template_database(postgres: Postgres) -> Iterator[None]:
    """The database that tests get clones of; in place of what a run that was killed has left."""
    drop = text(f"DROP DATABASE IF EXISTS {TEMPLATE} WITH (FORCE)")
    with _admin(postgres) as admin:
        admin.execute(drop)
        admin.execute(text(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0"))
    migrate(postgres.url(TEMPLATE))
    yield
    with _admin(postgres) as admin:
        admin.execute(drop)


@contextmanager
def temporary_database(postgres: Postgres, *, template: str = TEMPLATE) -> Iterator[str]:
    """The URL of a new database, dropped at the end, whoever is still connected."""
    name = f"test_{uuid4().hex}"
    create = text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # half the price of the log
    with _admin(postgres) as admin:
        admin.execute(create)
    try:
        yield postgres.url(name)
    finally:
        with _admin(postgres) as admin:
            # Sessions that are just ending would make the server sleep for 100 ms before it looks again.
            users = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name")
            eventually(lambda: admin.execute(users, {"name": name}).scalar() == 0, within=1)
            admin.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def migrate(url: str) -> None:
    """Bring a database to the newest schema."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        migrations.upgrade(connection)


def without_indexes(engine: Engine) -> None:
    """From now on, PostgreSQL reads tables of this database as they lie, so that no index lends a query its order."""
    with engine.begin() as connection:
        for method in ("indexscan", "indexonlyscan", "bitmapscan"):
            name = connection.execute(text("SELECT quote_ident(current_database())")).scalar_one()
            connection.execute(text(f"ALTER DATABASE {name} SET enable_{method} = off"))
    engine.dispose()  # the setting is that of new sessions


def _spare_flushes(postgres: EmbeddedPostgres) -> None:
    """Flushes to disk only matter if the machine itself crashes."""
    with _admin(postgres) as admin:
        for setting in ("fsync", "full_page_writes"):
            admin.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        admin.execute(text("SELECT pg_reload_conf()"))


@contextmanager
def _admin(postgres: Postgres) -> Iterator[Connection]:
    with _admin_engine(postgres.admin_url).connect() as connection:
        yield connection


@cache
def _admin_engine(url: str) -> Engine:
    """Kept for the session, because each test needs it twice; after a restart of the server it connects again."""
    return create_engine(url, pool_size=1, pool_pre_ping=True, isolation_level="AUTOCOMMIT")


def _memory() -> Path | None:
    """A file system in memory that programs may be started from; cloning a database there is 20 times faster."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK | os.X_OK)):
        return None
    barred = os.statvfs(memory).f_flag & getattr(os, "ST_NOEXEC", 0)
    return None if barred or shutil.disk_usage(memory).free < _ENOUGH_MEMORY else memory
