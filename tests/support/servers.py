"""The servers of the plugin's fixtures, with what only our own tests ask of them."""

from dataclasses import dataclass
from typing import Self

import pytest

from release_worker import testing
from release_worker.embedded.valkey import EmbeddedValkey
from release_worker.testing.plugin import BROKER
from release_worker.testing.running.databases import Postgres
from tests.support.redis_urls import as_redis_reads_it


@dataclass(frozen=True)
class Servers(testing.Servers):
    """PostgreSQL, and Redis or Valkey."""

    @classmethod
    def of(cls, running: testing.Servers) -> Self:
        return cls(running.databases, running.broker_url, running.embedded)

    @property
    def postgres(self) -> Postgres:
        return self.databases.postgres

    @property
    def own_valkey(self) -> EmbeddedValkey | None:
        """The broker; None if somebody else started it."""
        own = self.embedded
        return own.valkey if own is not None and own.broker_url == self.broker_url else None

    @property
    def valkey(self) -> EmbeddedValkey:
        """The broker, for a test that stops it. Skips the test if somebody else started it."""
        skip_if_given(self)
        assert self.own_valkey is not None
        return self.own_valkey

    @property
    def redis_url(self) -> str:
        """The broker in redis-py's form."""
        return as_redis_reads_it(self.broker_url)


def skip_if_given(servers: Servers) -> None:
    """For a test that stops the broker."""
    if servers.own_valkey is None:
        pytest.skip(f"stops the broker, and that of {BROKER} is somebody else's")
