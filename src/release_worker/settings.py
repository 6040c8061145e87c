"""The settings, read from the environment here and nowhere else."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from release_worker.domain.database import ALLOWED_SCHEMA, Database
from release_worker.domain.limits import Limits, broken_rules, limits_for
from release_worker.domain.secrets import DEFAULT_SECRET_KEYS, SecretKeys
from release_worker.domain.server_urls import with_password
from release_worker.domain.webhook_rules import WebhookRules
from release_worker.errors import NotConfigured
from release_worker.server_settings import PREFIX as PREFIX
from release_worker.server_settings import ServerSettings

_SERVERS = {"database_url", "broker_url", "result_backend", "redis_url"}
_LIMITS = ("soft_time_limit", "hard_time_limit", "visibility_timeout", "lease_seconds")
_Seconds = Annotated[int, Field(gt=0, le=86_400)]
_Days = Annotated[int, Field(ge=0, le=36_500)]


class Settings(ServerSettings):
    """`RELEASE_WORKER_…` variables. What each is for is its description, from which the table in
    docs/reference/settings.md is made."""

    prepared_statements: bool = Field(
        default=True,
        description=(
            "`true` by default; `false` behind PgBouncer in transaction mode, unless its `max_prepared_statements` is "
            "above 0 (the default from 1.24 on). Clients and workers both need it; an app's own engine needs "
            "`prepare_threshold=None`"
        ),
    )
    extra_queues: str | None = Field(
        default=None,
        description=(
            "queues that the worker reads beside its own three, separated by commas: `celery`, so that messages "
            "arrive that name no queue. Only if nobody else uses them: a worker throws away the messages of others' "
            "tasks"
        ),
    )
    soft_time_limit: _Seconds | None = Field(
        default=None,
        description=(
            "seconds after which an operation is stopped and tried again; 90. PostgreSQL ends a single statement 10 s "
            "earlier by itself"
        ),
    )
    hard_time_limit: _Seconds | None = Field(
        default=None,
        description="seconds after which the process of a task is killed; 120, or 30 s more than the soft limit",
    )
    visibility_timeout: _Seconds | None = Field(
        default=None,
        description=(
            "seconds after which the broker delivers a message again that no worker acknowledged; 300, or what the "
            "other limits need. The shortest of any consumer wins: give workers and Flower the same"
        ),
    )
    lease_seconds: _Seconds | None = Field(
        default=None, description="seconds for which a worker that has gone silent keeps its toolset; 15"
    )
    keep_requests_days: _Days = Field(
        default=90,
        description=(
            "days for which a request stays in the ledger after its end, with its idempotency key; 90. 0 keeps all. "
            "One that a release, a rollback or a mark names stays as long as that"
        ),
    )
    drift_interval: _Seconds = Field(
        default=300,
        description="seconds between two looks whether toolsets have drifted from their current releases; 300",
    )
    keep_events_days: _Days = Field(
        default=30,
        description="days for which an event is kept, and longer if somebody still waits for it; 30. 0 keeps all",
    )
    health_directory: Path | None = Field(
        default=None,
        description=(
            "where the workers and beats of a host say every few seconds how they are, for `release-worker "
            "healthcheck`; by default a directory of the user's below the temporary one"
        ),
    )
    metrics_port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        default=None,
        description=(
            "a port on which each worker shows [metrics](metrics.md) to Prometheus; by default none. One worker of a "
            "host can have it"
        ),
    )
    metrics_address: str = Field(
        default="127.0.0.1",
        description=(
            "the address of this host on which they are shown; `0.0.0.0` in a container. Whoever reaches it may read "
            "them"
        ),
    )
    secret_keys: str | None = Field(
        default=None,
        description=(
            "patterns of keys whose values are never in plans, results, differences or logs, separated by commas; "
            "`*key*`, `*secret*`, `*token*`, `*password*`, `*passwd*`, `*passphrase*`, `*credential*`, "
            "`*authorization*`, `*cookie*`, `*bearer*`, `*dsn*`, `*connection_string*`"
        ),
    )

    webhooks_private: bool = Field(
        default=False,
        description="whether events may be posted to addresses that are not public, such as `127.0.0.1` or `10.0.0.1`",
    )
    webhooks_http: bool = Field(
        default=False, description="whether events may be posted over `http://`, so that others can read them"
    )

    @property
    def kept_for(self) -> timedelta | None:
        """For how long requests stay in the ledger; None for ever."""
        return timedelta(days=self.keep_requests_days) if self.keep_requests_days else None

    @property
    def events_kept_for(self) -> timedelta | None:
        """For how long events are kept; None for ever."""
        return timedelta(days=self.keep_events_days) if self.keep_events_days else None

    @property
    def secrets(self) -> SecretKeys:
        """The keys whose values are not shown."""
        return DEFAULT_SECRET_KEYS if self.secret_keys is None else SecretKeys.parse(self.secret_keys)

    @property
    def queues_beside_ours(self) -> list[str]:
        """The names of the extra queues."""
        return [name.strip() for name in (self.extra_queues or "").split(",") if name.strip()]

    @property
    def webhook_rules(self) -> WebhookRules:
        """Where events may be posted to."""
        return WebhookRules(private=self.webhooks_private, http=self.webhooks_http)

    def require(self, name: str) -> str:
        """The value of a setting that must be there. Raises NotConfigured."""
        value: str | None = getattr(self, name)
        if value is None:
            raise NotConfigured(f"{PREFIX}{name.upper()} is not set", setting=f"{PREFIX}{name.upper()}")
        return value

    @property
    def database(self) -> Database:
        """The database, and our schema of it. Raises NotConfigured if it is not set."""
        return Database(self.require("database_url"), self.database_schema)

    @property
    def signs_directory(self) -> Path:
        """`health_directory`, or a directory of this user's."""
        return self.health_directory or Path(tempfile.gettempdir()) / f"release-worker-{os.geteuid()}"

    @property
    def is_empty(self) -> bool:
        """No server is set, so that `demo` and `dev` bring their own."""
        return not self.model_fields_set & _SERVERS

    @property
    def limits(self) -> Limits:
        """The limits of this deployment."""
        limits = limits_for(
            soft_time_limit=self.soft_time_limit,
            hard_time_limit=self.hard_time_limit,
            visibility_timeout=self.visibility_timeout,
            lease=self.lease_seconds,
        )
        return replace(limits, drift_interval=self.drift_interval)


class _Given(Settings):
    """Settings of which the environment says nothing."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def read_settings() -> Settings:
    """The settings of this process's environment. Raises NotConfigured for a value that cannot be one."""
    return _readable(Settings)


def given_settings(**values: str | bool | int | None) -> Settings:
    """Settings with these values, and defaults for the others. Raises NotConfigured for one that cannot be one."""
    aliases = {name: field.validation_alias for name, field in Settings.model_fields.items()}
    given = {aliases.get(name) or name: value for name, value in values.items()}
    return _readable(lambda: _Given.model_validate(given))


def _readable(make: Callable[[], Settings]) -> Settings:
    try:
        settings = make()
    except ValidationError as error:
        wrong = [str(one["loc"][0]) for one in error.errors(include_input=False)]
        names = ", ".join(f"{PREFIX}{name.removeprefix(PREFIX)}".upper() for name in wrong)
        hint = "; in a password, write %40 for @ and %2F for /" if _SERVERS.intersection(wrong) else ""
        hint += f"; a schema has {ALLOWED_SCHEMA}" if f"{PREFIX}SCHEMA" in wrong else ""
        raise NotConfigured(f"cannot be read: {names}{hint}", setting=names) from None
    _check_limits(settings)
    _check_sentinel(settings)
    return _with_broker_password(settings)


def _with_broker_password(settings: Settings) -> Settings:
    if settings.broker_password is None or settings.broker_url is None:
        return settings
    named = {name: getattr(settings, name) for name in ("broker_url", "result_backend", "redis_url")}
    completed = {
        name: with_password(urls, settings.broker_password, of=settings.broker_url)
        for name, urls in named.items()
        if urls is not None
    }
    return settings.model_copy(update=completed)


def _check_sentinel(settings: Settings) -> None:
    urls = f"{settings.broker_url} {settings.result_backend} {settings.redis_url}"
    if settings.sentinel is None and "sentinel://" in urls:
        name = f"{PREFIX}SENTINEL_MASTER"
        raise NotConfigured(f"{name} is not set: which server do the Sentinels watch?", setting=name)


def _check_limits(settings: Settings) -> None:
    broken = broken_rules(settings.limits)
    if broken:
        names = ", ".join(f"{PREFIX}{name}".upper() for name in _LIMITS if getattr(settings, name) is not None)
        reasons = "; ".join(rule.explain(settings.limits) for rule in broken)
        raise NotConfigured(f"{names}: {reasons}", setting=names)


def environment_with(**values: str) -> dict[str, str]:
    """This process's environment with these settings in it, for a process that it starts."""
    return {**os.environ, **{f"{PREFIX}{name.upper()}": value for name, value in values.items()}}


def environment_of(**values: str) -> dict[str, str]:
    """The same, without the settings of ours that this process's environment has."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {**inherited, **{f"{PREFIX}{name.upper()}": value for name, value in values.items()}}


def watchdog_socket() -> str | None:
    """Where systemd waits for signs of life of a service that it watches; it says so in NOTIFY_SOCKET."""
    return os.environ.get("NOTIFY_SOCKET")
