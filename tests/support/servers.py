"""The PostgreSQL and the Redis of a test session: embedded ones, or those that somebody else started.

`TEST_POSTGRES_URL` and `TEST_REDIS_URL` name the servers of somebody else; tests/README.md says what they must allow.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from redis import Redis
from sqlalchemy import make_url

from release_worker.embedded import EmbeddedServers
from release_worker.embedded.valkey import EmbeddedValkey
from tests.support.databases import Postgres, template_database

POSTGRES = "TEST_POSTGRES_URL"
REDIS = "TEST_REDIS_URL"


@dataclass(frozen=True)
class GivenPostgres:
    """A PostgreSQL that somebody else started."""

    admin_url: str

    def url(self, database: str) -> str:
        """The URL of a database, in SQLAlchemy's form."""
        return make_url(self.admin_url).set(database=database).render_as_string(hide_password=False)


@dataclass(frozen=True)
class Servers:
    """PostgreSQL with a migrated template database, and Redis or Valkey."""

    postgres: Postgres
    redis_url: str  # of database 0, in redis-py's form
    broker_url: str  # of database 0, in kombu's form
    own_valkey: EmbeddedValkey | None  # None if somebody else started the broker

    @property
    def valkey(self) -> EmbeddedValkey:
        """The broker, for a test that stops it. Skips the test if somebody else started it."""
        skip_if_given(self)
        assert self.own_valkey is not None
        return self.own_valkey

    def broker(self, database: int) -> str:
        """The URL of a database of the broker, in kombu's form."""
        return f"{self.broker_url.removesuffix('0')}{database}"

    def redis(self, database: int) -> str:
        """The same in redis-py's form."""
        return f"{self.redis_url.removesuffix('0')}{database}"


def skip_if_given(servers: Servers) -> None:
    """For a test that stops the broker."""
    if servers.own_valkey is None:
        pytest.skip(f"stops the broker, and that of {REDIS} is somebody else's")


def are_given() -> bool:
    """Whether the environment names a server."""
    return bool(os.environ.get(POSTGRES) or os.environ.get(REDIS))


@contextmanager
def servers_of_session(embedded: Callable[[], EmbeddedServers]) -> Iterator[Servers]:
    """The servers that the environment names; `embedded` starts those that it does not name."""
    postgres_url, redis_url = os.environ.get(POSTGRES), os.environ.get(REDIS)
    with ExitStack() as stack:
        postgres: Postgres
        if postgres_url:
            postgres = GivenPostgres(_with_driver(postgres_url))
            stack.enter_context(template_database(postgres))
        else:
            postgres = embedded().postgres
        if redis_url:
            numbered = f"{redis_url.rstrip('/')}/0"
            with Redis.from_url(numbered) as redis:
                redis.flushall()  # what an earlier session has left
            yield Servers(postgres, numbered, numbered, None)
        else:
            yield Servers(postgres, embedded().redis_url, embedded().broker_url, embedded().valkey)


def _with_driver(url: str) -> str:
    return make_url(url).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
