"""Waiting has an end: a worker at work keeps its lease, and a request that waited in vain ends and says so."""

import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from celery import Celery
from sqlalchemy import Engine, event
from structlog.testing import capture_logs

from release_worker.broker.routing import TASKS
from release_worker.domain.request_record import RequestRecord
from release_worker.embedded.process import eventually
from release_worker.errors import LockUnavailable
from release_worker.operations.retry_request import retry_request
from release_worker.operations.sweep import SweepPolicy, sweep
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.worker.app import make_app
from release_worker.worker.inbox import Inbox
from release_worker.worker.policy import LeasePolicy
from release_worker.worker.runtime import close_runtime, runtime_of
from tests.support.billing import a_full_toolset
from tests.support.ledger import ask, claim, grow_old, ledger, mailbox, record
from tests.support.records import releases_of
from tests.support.world import Toolset

PATIENCE = 15.0
T = TypeVar("T")
POLICY = SweepPolicy(patience=PATIENCE)


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@pytest.fixture
def app(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """A worker's app whose tasks run in this process, retries at once."""
    monkeypatch.setenv("RELEASE_WORKER_DATABASE_URL", database_url)
    monkeypatch.setenv("RELEASE_WORKER_BROKER_URL", "memory://")
    made = make_app()
    yield made
    close_runtime(made)


def delayed_before_its_transaction(engine: Engine, wait: Callable[[], None]) -> None:
    """The worker of this engine has to wait for a connection before it can begin with a request that it claimed."""

    def checkout(*_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            wait()

    event.listen(engine, "checkout", checkout)


def test_a_worker_that_cannot_begin_yet_renews_the_lease_of_what_it_claimed(
    engine: Engine, database_url: str, billing: Toolset
) -> None:
    asked = ask(engine, billing)
    others = make_engine(database_url)
    renewals: list[object] = []

    def wait_for_a_renewal() -> None:
        [row] = ledger(others)
        if row.status != "running" or renewals:
            return
        assert eventually(lambda: ledger(others)[0].lease_until > row.lease_until, within=30)
        renewals.append(ledger(others)[0].lease_until)

    delayed_before_its_transaction(engine, wait_for_a_renewal)
    done = mailbox(engine, leases=LeasePolicy(lease=600, renew_every=0.01)).work_until_done(asked)
    others.dispose()
    assert (done.status, done.attempts, len(renewals)) == ("succeeded", 1, 1)


def _counted(work: Callable[..., T], calls: list[object]) -> Callable[..., T]:
    def counted(*positional: Any) -> T:
        calls.append(None)
        return work(*positional)

    return counted


@pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")  # of the apps of other tests
@pytest.mark.parametrize(("hard_time_limit", "retries"), [("120", 40), ("400", 48)])
def test_a_request_that_waited_in_vain_ends_and_those_who_asked_are_told(
    engine: Engine,
    app: Celery,
    billing: Toolset,
    monkeypatch: pytest.MonkeyPatch,
    hard_time_limit: str,
    retries: int,
) -> None:
    """The toolset is busy, and stays so through all the retries of the task: more of them if operations may be long."""
    monkeypatch.setenv("RELEASE_WORKER_HARD_TIME_LIMIT", hard_time_limit)
    busy, asked = ask(engine, billing), ask(engine, billing)
    claim(engine, busy)
    task = app.tasks[TASKS["create_release"]]
    tries: list[object] = []
    monkeypatch.setattr(Inbox, "accept", _counted(Inbox.accept, tries))
    with capture_logs():
        answer = task.apply(kwargs=record(engine, asked).arguments, task_id=asked)
    with pytest.raises(LockUnavailable):
        answer.get()
    assert len(tries) == retries + 1
    failed = record(engine, asked)
    assert failed.status == "failed"
    assert failed.finished_at is not None
    with pytest.raises(LockUnavailable):
        failed.answer()
    assert record(engine, busy).status == "running"
    assert releases_of(engine, billing) == []


@pytest.mark.filterwarnings("ignore::celery.exceptions.DuplicateTaskNameWarning")
def test_a_deployments_lease_is_that_of_its_workers_and_the_patience_of_its_sweeper(
    engine: Engine, app: Celery, billing: Toolset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_WORKER_LEASE_SECONDS", "60")
    leases: list[float] = []

    def look() -> None:
        [row] = ledger(engine)
        if row.status == "running":
            leases.append((row.lease_until - row.started_at).total_seconds())

    asked = ask(engine, billing)
    grow_old(engine, PATIENCE + 1)
    runtime = runtime_of(app)
    assert runtime.sweep(lambda _: None).published == ()
    grow_old(engine, 60)
    assert runtime.sweep(lambda _: None).published == (asked,)

    delayed_before_its_transaction(runtime._engine, look)
    app.tasks[TASKS["create_release"]].apply(kwargs=record(engine, asked).arguments, task_id=asked).get()
    assert leases == [60]


def test_a_request_that_was_brought_back_is_given_time_before_it_counts_as_lost(
    engine: Engine, billing: Toolset
) -> None:
    asked = ask(engine, billing, "rollback", release_number=1)
    mailbox(engine).work_until_done(asked)
    grow_old(engine, 10 * PATIENCE)
    with ledger_transaction(engine) as connection:
        retry_request(connection, asked)
    assert sweep(engine, lambda _: None, attempts=3, policy=POLICY).published == ()
    grow_old(engine, PATIENCE + 1)
    assert sweep(engine, lambda _: None, attempts=3, policy=POLICY).published == (asked,)


def test_what_a_sweep_publishes_can_be_worked_at_once(engine: Engine, billing: Toolset) -> None:
    """The sweep has committed by then: a worker that is quicker than its end finds nothing held."""
    asked = [ask(engine, billing) for _ in range(2)]
    grow_old(engine, PATIENCE + 1)
    worked: list[str] = []

    def publish(lost: RequestRecord) -> None:
        worked.append(mailbox(engine).work_until_done(lost.id).status)

    assert sweep(engine, publish, attempts=3, policy=POLICY).published == tuple(asked)
    assert worked == ["succeeded", "succeeded"]
