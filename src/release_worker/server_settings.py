"""The settings that say where servers are."""

import re

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from release_worker.domain.database import PUBLIC, checked_schema
from release_worker.domain.server_urls import Sentinel, as_celery_reads_it, check_url

PREFIX = "RELEASE_WORKER_"
_BROKER_WITH_LOCKS = ("redis://", "rediss://", "redis+socket://", "sentinel://")


class ServerSettings(BaseSettings):
    """URLs may carry passwords: they are kept out of the settings' own text."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: str | None = Field(
        default=None, repr=False, description="PostgreSQL; `postgresql://` or `postgresql+psycopg://`"
    )
    # Not named `schema`, which pydantic's own models have.
    database_schema: str = Field(
        default=PUBLIC,
        validation_alias=f"{PREFIX}SCHEMA",
        description=(
            "the schema of that database in which all tables, views and functions of the worker are; `public`. Clients "
            "and workers need the same"
        ),
    )
    broker_url: str | None = Field(
        default=None,
        repr=False,
        description=(
            "Celery's broker; Redis as `redis://`, `rediss://`, `redis+socket://`, `unix://` or `sentinel://`, or "
            "RabbitMQ as `amqp://` or `amqps://`"
        ),
    )
    result_backend: str | None = Field(
        default=None,
        repr=False,
        description="Celery's result backend; optional, the ledger has every result. A client with a database that "
        "does not name it asks Celery to store none",
    )
    redis_url: str | None = Field(
        default=None, repr=False, description="the locks; by default the broker, if that is Redis"
    )
    broker_password: str | None = Field(
        default=None,
        repr=False,
        description=(
            "the broker's password, whatever its characters, for the URLs above that name the broker's host and no "
            "password. PostgreSQL's may be in `PGPASSWORD` or `PGPASSFILE`"
        ),
    )
    sentinel_master: str | None = Field(
        default=None,
        description="for `sentinel://` addresses: the name by which the Sentinels know the server to use",
    )
    sentinel_password: str | None = Field(
        default=None, repr=False, description="the Sentinels' own password, if they have one"
    )

    @field_validator("database_url")
    @classmethod
    def _with_driver(cls, url: str | None) -> str | None:
        """The URL with our driver in it: `postgresql://` and `postgres://` are accepted too."""
        return url and re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql+psycopg://", url)

    @field_validator("database_schema")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        return checked_schema(name)

    @field_validator("broker_url", "result_backend", "redis_url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        """Kombu and redis-py say what is wrong with a URL when it is first used, and with the URL in it."""
        if url is not None:
            for one in url.split(";"):  # kombu takes several brokers
                check_url(one)
        return url

    @field_validator("redis_url")
    @classmethod
    def _is_of_redis(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith((*_BROKER_WITH_LOCKS, "unix://")):
            raise ValueError("not the URL of a Redis")
        return url

    @field_validator("broker_url", "result_backend")
    @classmethod
    def _as_celery_reads_it(cls, url: str | None) -> str | None:
        return url and as_celery_reads_it(url)

    @property
    def lock_url(self) -> str | None:
        """Where the locks are: `redis_url`, or the broker if that is Redis; None means to do without."""
        if self.redis_url is None and self.broker_url and self.broker_url.startswith(_BROKER_WITH_LOCKS):
            return self.broker_url
        return self.redis_url

    @property
    def sentinel(self) -> Sentinel | None:
        """How the addresses that begin with `sentinel://` are to be read."""
        return None if self.sentinel_master is None else Sentinel(self.sentinel_master, self.sentinel_password)
