"""The PostgreSQL and the broker of a test session: embedded ones, or those that somebody else started."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, make_url

from release_worker.domain.database import PUBLIC
from release_worker.embedded import EmbeddedPostgres, EmbeddedServers, embedded_servers
from release_worker.errors import NotConfigured
from release_worker.settings import given_settings
from release_worker.store.engine import make_engine
from release_worker.testing.running.databases import Databases

# A database takes 8 MB, and the write-ahead log up to 1 GB.
_ENOUGH_MEMORY = 3 * 2**30

# The number of a database of Redis, in each form of its URL that kombu reads.
_NUMBER = re.compile(r"(?P<before>^rediss?://[^/]+/|[?&]virtual_host=)(?P<number>\d+)")


@dataclass(frozen=True)
class GivenPostgres:
    """A PostgreSQL that somebody else started; `admin_url` is in SQLAlchemy's form."""

    admin_url: str

    def url(self, database: str) -> str:
        """The URL of a database, in SQLAlchemy's form."""
        return make_url(self.admin_url).set(database=database).render_as_string(hide_password=False)


@dataclass(frozen=True)
class GivenServers:
    """The addresses of servers that somebody else started; None for one that is to be embedded. Of a Redis, each
    process of tests has a database by its own number. `schema` is that of our tables."""

    postgres_url: str | None = None
    broker_url: str | None = None
    process: int = 0
    schema: str = PUBLIC


@dataclass(frozen=True)
class Servers:
    """PostgreSQL and a broker. `embedded` are those that are ours, for a test to stop; None if none is."""

    databases: Databases
    broker_url: str
    embedded: EmbeddedServers | None

    def broker(self, number: int) -> str:
        """The broker's URL, so many databases of Redis further. Raises NotConfigured for another broker."""
        return numbered(self.broker_url, number)


def numbered(broker_url: str, further: int) -> str:
    """The URL with a number that is greater by so much. Raises NotConfigured if it has none."""
    if not further:
        return broker_url
    found = _NUMBER.search(broker_url)
    if found is None:
        message = "a broker without numbered databases serves one process of tests: leave pytest-xdist out"
        raise NotConfigured(message, setting="broker_url")
    number = int(found["number"]) + further
    return f"{broker_url[: found.start('number')]}{number}{broker_url[found.end('number') :]}"


@contextmanager
def embedded_for_tests() -> Iterator[EmbeddedServers]:
    """PostgreSQL and Valkey in memory, if there is enough of it."""
    with tempfile.TemporaryDirectory(prefix="release-worker-tests-", dir=_memory()) as parent:
        Path(parent).chmod(0o711)  # as root, PostgreSQL runs as another user
        with embedded_servers(Path(parent) / "data") as servers:
            _spare_flushes(servers.postgres)
            yield servers


@contextmanager
def servers_for_tests(given: GivenServers, embedded: Callable[[], EmbeddedServers]) -> Iterator[Servers]:
    """The servers that are given; `embedded` starts those that are not, and answers with the same ones each time.
    Raises NotConfigured for a URL that cannot be one."""
    settings = given_settings(
        database_url=given.postgres_url, broker_url=given.broker_url, database_schema=given.schema
    )
    postgres = _given_postgres(settings.database_url) if settings.database_url else embedded().postgres
    broker_url = (
        numbered(_with_number(settings.broker_url), given.process) if settings.broker_url else embedded().broker_url
    )
    own = None if settings.database_url and settings.broker_url else embedded()
    with Databases(postgres, settings.database_schema) as databases:
        yield Servers(databases, broker_url, own)


def _given_postgres(url: str) -> GivenPostgres:
    make_engine(url)  # refuses what is no URL, without a word of it
    return GivenPostgres(url)


def _with_number(broker_url: str) -> str:
    """A URL of Redis without a number means database 0."""
    return re.sub(r"^(rediss?://[^/?]+)/?(?=$|\?)", r"\1/0", broker_url)


def _spare_flushes(postgres: EmbeddedPostgres) -> None:
    """Flushes to disk only matter if the machine itself crashes."""
    engine = create_engine(postgres.admin_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as admin:
        for setting in ("fsync", "full_page_writes"):
            admin.exec_driver_sql(f"ALTER SYSTEM SET {setting} = off")
        admin.exec_driver_sql("SELECT pg_reload_conf()")
    engine.dispose()


def _memory() -> Path | None:
    """A file system in memory that programs may be started from; cloning a database there is 20 times faster."""
    memory = Path("/") / "dev" / "shm"
    if not (memory.is_dir() and os.access(memory, os.W_OK | os.X_OK)):
        return None
    barred = os.statvfs(memory).f_flag & getattr(os, "ST_NOEXEC", 0)
    return None if barred or shutil.disk_usage(memory).free < _ENOUGH_MEMORY else memory
