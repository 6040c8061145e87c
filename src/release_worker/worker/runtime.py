"""What the tasks of one process work with: made at the first task, after the fork, never at import."""

import os
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from uuid import UUID

from celery import Celery
from redis import Redis
from sqlalchemy import Engine

from release_worker.domain.deliveries import DeliveryPolicy, Send
from release_worker.domain.request_record import RequestRecord
from release_worker.domain.schedules.made import ScheduledRequest
from release_worker.operations.deliver_events import Attempt, deliver_events
from release_worker.operations.fold_measurements import fold_measurements
from release_worker.operations.forget_events import forget_events
from release_worker.operations.schedules.tick import Ticked, TickPolicy, tick
from release_worker.operations.sweep import SweepPolicy, Swept, sweep
from release_worker.operations.tidy import TidyPolicy, tidy
from release_worker.operations.watch_drift import Watched, watch_drift
from release_worker.settings import Settings, read_settings
from release_worker.state.registry import installed_components
from release_worker.store.engine import make_engine
from release_worker.tracing.choosing import tracing_of_worker
from release_worker.worker.executor import Executor
from release_worker.worker.inbox import Inbox
from release_worker.worker.lock import RedisToolsetLock, toolset_lock_client
from release_worker.worker.mailbox import Mailbox
from release_worker.worker.policy import LeasePolicy, RetryPolicy
from release_worker.worker.progress import tell_by_events
from release_worker.worker.toolset_lock import NoLock, ToolsetLock
from release_worker.worker.watching import Watching
from release_worker.worker.webhooks import WebhookPoster

_ATTRIBUTE = "release_worker_runtime"
_making = threading.Lock()


def runtime_of(app: Celery) -> "Runtime":
    """The runtime of this process, made at the first call in it: a child must not use its parent's connections."""
    with _making:
        runtime: Runtime | None = getattr(app, _ATTRIBUTE, None)
        if runtime is None or not runtime.is_of_this_process:
            runtime = Runtime(read_settings(), watching=Watching(tracing_of_worker(), tell_by_events(app)))
            setattr(app, _ATTRIBUTE, runtime)
    return runtime


def close_runtime(app: Celery) -> None:
    """Close what this process's tasks opened, if they did."""
    runtime: Runtime | None = getattr(app, _ATTRIBUTE, None)
    if runtime is not None and runtime.is_of_this_process:
        runtime.close()


class Runtime:
    """The composition root of a worker process. Raises NotConfigured if the database is not set."""

    def __init__(
        self,
        settings: Settings,
        *,
        retry: RetryPolicy | None = None,
        leases: LeasePolicy | None = None,
        watching: Watching | None = None,
    ) -> None:
        self._process_id = os.getpid()
        self.watching = watching or Watching()
        limits = settings.limits
        self.retry = retry or RetryPolicy.within(limits)
        leases = leases or LeasePolicy.within(limits)
        self._engine: Engine = make_engine(
            settings.database,
            application_name="release_worker worker",
            prepared_statements=settings.prepared_statements,
            statement_timeout=limits.statement_timeout,
        )
        self.watching.tracing.watch(self._engine)
        self._sweeping = SweepPolicy(patience=limits.patience)
        self._ticking = TickPolicy(on_time=limits.on_time)
        self._registry = installed_components(settings.secrets)
        self._tidying = TidyPolicy(keep=settings.kept_for)
        self._events_kept_for = settings.events_kept_for
        self._redis: Redis | None = _lock_client(settings)
        self._delivering = DeliveryPolicy()
        self.poster = WebhookPoster(settings.webhook_rules, seconds=self._delivering.attempt)
        self.inbox = Inbox(self._engine)
        self.mailbox = Mailbox(
            self._engine,
            Executor(self._engine, self._registry, retry=self.retry, leases=leases, watching=self.watching),
            partial(_lock, self._redis, leases) if self._redis else _no_lock,
            worker=f"{socket.gethostname()} pid {self._process_id}",
            leases=leases,
        )

    @property
    def is_of_this_process(self) -> bool:
        """False in a child that was forked after this was made."""
        return self._process_id == os.getpid()

    def sweep(self, publish: Callable[[RequestRecord], None]) -> Swept:
        """Publish again what the broker has lost."""
        return sweep(self._engine, publish, attempts=self.retry.attempts, policy=self._sweeping)

    def fold_measurements(self) -> None:
        """Add what was measured to the totals."""
        fold_measurements(self._engine)

    def tick(self, publish: Callable[[ScheduledRequest], None]) -> Ticked:
        """Fire the schedules that are due."""
        return tick(self._engine, self._registry, publish, self._ticking)

    def deliver(self, send: Send) -> list[Attempt]:
        """Tell those who subscribed what has happened."""
        return deliver_events(self._engine, send, self._delivering)

    def tidy(self) -> Mapping[tuple[str, str], int]:
        """Delete old requests; how many, by kind and status."""
        return tidy(self._engine, self._tidying)

    def watch_drift(self) -> Watched:
        """Look whether toolsets have drifted."""
        return watch_drift(self._engine, self._registry)

    def forget_events(self) -> int:
        """Delete old events; how many."""
        return forget_events(self._engine, self._events_kept_for)

    def close(self) -> None:
        """Close what was opened."""
        self.watching.tracing.close()
        self._engine.dispose()
        if self._redis is not None:
            self._redis.close()


def _lock_client(settings: Settings) -> Redis | None:
    url = settings.lock_url
    if url is None:
        return None
    return toolset_lock_client(url, settings.sentinel if url.startswith("sentinel://") else None)


def _lock(redis: Redis, leases: LeasePolicy, toolset_id: UUID, owner: str, wait: float) -> ToolsetLock:
    return RedisToolsetLock(redis, toolset_id, owner=owner, ttl=leases.lease, wait=wait)


def _no_lock(_toolset_id: UUID, _owner: str, _wait: float) -> ToolsetLock:
    return NoLock()
