"""What keeps two workers off one toolset: the lock for speed, the lease for when, the attempt's number for who."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from sqlalchemy import Engine, event, text
from structlog.testing import capture_logs

from release_worker.domain.outcomes import Failed, Succeeded
from release_worker.domain.request_record import Claim
from release_worker.embedded.process import eventually
from release_worker.errors import LockUnavailable, ReleaseNotFound
from release_worker.operations.retry_request import retry_request
from release_worker.state.registry import Registry
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.store.requests import renew_lease
from release_worker.worker.lock import RedisToolsetLock, lock_key, toolset_lock_client
from release_worker.worker.policy import LeasePolicy, RetryPolicy
from release_worker.worker.toolset_lock import NoLock
from tests.support.billing import a_full_toolset
from tests.support.ledger import ask, claim, end_leases, ledger, mailbox, record, redis_locks, ticket
from tests.support.plug_ins import Once, interrupted_by
from tests.support.records import assert_numbers_and_chain_complete, releases_of
from tests.support.servers import Servers
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@pytest.fixture
def redis(servers: Servers) -> Iterator[Redis]:
    with toolset_lock_client(servers.redis_url) as client:
        yield client
        client.flushall()


def owner(redis: Redis, toolset: Toolset, *, wait: float = 0) -> RedisToolsetLock:
    """Somebody else's hold on the toolset, for as long as a test may take."""
    return RedisToolsetLock(redis, toolset.id, owner="somebody", ttl=600, wait=wait)


def test_a_busy_toolset_ends_the_wait_soon_and_leaves_the_request_as_it_was(
    engine: Engine, billing: Toolset, redis: Redis
) -> None:
    asked = ask(engine, billing)
    before = record(engine, asked)
    with owner(redis, billing), pytest.raises(LockUnavailable) as busy:
        mailbox(engine, make_lock=redis_locks(redis)).work_until_done(asked)
    assert busy.value.details == {"toolset_id": str(billing.id), "holder": "somebody"}
    assert record(engine, asked) == before


def test_a_request_that_is_done_is_answered_without_the_lock(engine: Engine, billing: Toolset, redis: Redis) -> None:
    asked = ask(engine, billing)
    worker = mailbox(engine, make_lock=redis_locks(redis))
    done = worker.work_until_done(asked)
    with owner(redis, billing):
        assert worker.work_until_done(asked) == done


def test_the_lock_is_held_while_a_request_is_worked_and_given_back(
    engine: Engine, billing: Toolset, redis: Redis
) -> None:
    seen: list[object] = []
    look = interrupted_by(lambda: seen.append(redis.exists(lock_key(billing.id))))
    mailbox(engine, make_lock=redis_locks(redis), registry=look).work_until_done(ask(engine, billing))
    assert set(seen) == {1}
    assert not redis.exists(lock_key(billing.id))


def test_a_lock_that_is_flushed_while_requests_are_worked_harms_nothing(
    engine: Engine, billing: Toolset, redis: Redis
) -> None:
    asked = [ask(engine, billing) for _ in range(4)]
    flushing = interrupted_by(redis.flushall)
    with capture_logs():
        mailbox(engine, make_lock=redis_locks(redis), registry=flushing).work_until_done(asked[-1])
    assert [row.request_id for row in releases_of(engine, billing)] == asked
    assert_numbers_and_chain_complete(engine, billing)


def test_without_redis_the_work_goes_on(engine: Engine, billing: Toolset, tmp_path: Path) -> None:
    with toolset_lock_client(f"unix://{tmp_path}/nobody.sock") as nowhere, capture_logs() as logs:
        done = mailbox(engine, make_lock=redis_locks(nowhere)).work_until_done(ask(engine, billing))
    assert done.status == "succeeded"
    assert "toolset_lock_unreachable" in {line["event"] for line in logs}


def test_a_running_request_is_left_to_its_worker_while_its_lease_is_good(engine: Engine, billing: Toolset) -> None:
    asked, behind = ask(engine, billing), ask(engine, billing)
    claim(engine, asked)
    before = record(engine, asked)
    for request_id in (asked, behind):
        with pytest.raises(LockUnavailable):
            mailbox(engine).work_until_done(request_id)
    assert record(engine, asked) == before
    assert record(engine, behind).attempts == 0


def test_a_request_that_was_brought_back_waits_for_one_that_runs_although_it_came_first(
    engine: Engine, billing: Toolset
) -> None:
    first, second = ask(engine, billing, "rollback", release_number=1), ask(engine, billing)
    mailbox(engine).work_until_done(first)
    claim(engine, second)
    with ledger_transaction(engine) as connection:
        retry_request(connection, first)
    with pytest.raises(LockUnavailable):
        mailbox(engine).work_until_done(first)
    assert (record(engine, first).status, record(engine, first).attempts) == ("queued", 1)


def test_a_request_whose_worker_died_is_done_by_the_next_one_in_a_further_attempt(
    engine: Engine, billing: Toolset
) -> None:
    asked = ask(engine, billing)
    claim(engine, asked)
    end_leases(engine)
    done = mailbox(engine).work_until_done(asked)
    assert (done.status, done.attempts) == ("succeeded", 2)
    assert [row.request_id for row in releases_of(engine, billing)] == [asked]


class CountingLock(NoLock):
    """Held by nobody; counts how often its worker said that it is alive."""

    renewals = 0

    def renew(self) -> bool:
        self.renewals += 1
        return True


def test_an_operation_may_outlast_its_lease_and_is_not_disturbed_by_renewals(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing)
    lock = CountingLock()
    leases = LeasePolicy(lease=0.01, renew_every=0.01)

    def outlast_renewals() -> None:
        already = lock.renewals
        assert eventually(lambda: lock.renewals > already + 3, within=30)
        with pytest.raises(LockUnavailable):
            mailbox(engine, worker="worker-b").work_until_done(asked)

    slow = mailbox(engine, leases=leases, make_lock=lambda *_: lock, registry=interrupted_by(Once(outlast_renewals)))
    done = slow.work_until_done(asked)
    assert (done.status, done.attempts, done.worker) == ("succeeded", 1, "worker-a")
    assert len(releases_of(engine, billing)) == 1


def test_the_lease_is_renewed_while_no_transaction_says_that_its_worker_is_at_work(
    engine: Engine, billing: Toolset
) -> None:
    asked = ask(engine, billing)
    leased = claim(engine, asked, lease=1)
    before = record(engine, asked).lease_until
    with ledger_transaction(engine) as connection:
        assert renew_lease(connection, leased, lease_seconds=900)
    after = record(engine, asked).lease_until
    assert before is not None
    assert after is not None
    assert after > before
    claim_lost = Claim(leased.id, leased.kind, leased.attempt - 1, leased.payload, leased.toolset_id)
    with ledger_transaction(engine) as connection:
        assert not renew_lease(connection, claim_lost, lease_seconds=9000)
    assert record(engine, asked).lease_until == after


def stopped_before_its_transaction(engine: Engine, meanwhile: Callable[[], object]) -> None:
    """The worker of this engine stops after its claim; `meanwhile` happens; it goes on, and only once."""
    stop = Once(meanwhile)

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if ".release_requests WHERE id" in statement and statement.rstrip().endswith("FOR NO KEY UPDATE"):
            stop()

    event.listen(engine, "before_cursor_execute", before)


def stopped_in_its_transaction(engine: Engine, meanwhile: Callable[[], object]) -> Registry:
    """The worker stops for so long in the middle of its operation that PostgreSQL ends its session."""
    end = """
        SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'
    """

    def stop() -> None:
        with engine.connect() as connection:
            connection.execute(text(end))
        meanwhile()

    return interrupted_by(Once(stop))


@pytest.mark.parametrize("where", ["before its transaction", "in its transaction"])
def test_a_worker_that_lost_its_request_to_another_commits_nothing(
    engine: Engine, database_url: str, billing: Toolset, where: str
) -> None:
    asked = ask(engine, billing)
    others = make_engine(database_url)

    def be_overtaken() -> None:
        end_leases(others)
        assert mailbox(others, worker="worker-b").work_until_done(asked).status == "succeeded"

    components = None
    if where == "in its transaction":
        components = stopped_in_its_transaction(others, be_overtaken)
    else:
        stopped_before_its_transaction(engine, be_overtaken)
    with capture_logs() as logs:
        done = mailbox(engine, registry=components).work_until_done(asked)
    others.dispose()
    assert (done.status, done.attempts, done.worker) == ("succeeded", 2, "worker-b")
    assert [row.request_id for row in releases_of(engine, billing)] == [asked]
    assert "request_claim_lost" in {line["event"] for line in logs}


@pytest.mark.parametrize("attempts", [1, 3], ids=["the last attempt", "one of several"])
def test_a_worker_that_lost_its_request_neither_fails_nor_postpones_it(
    engine: Engine, database_url: str, billing: Toolset, attempts: int
) -> None:
    asked = ask(engine, billing)
    others = make_engine(database_url)

    def be_overtaken() -> None:
        end_leases(others)
        claim(others, asked, worker="worker-b")

    overtaken = mailbox(
        engine,
        retry=RetryPolicy(attempts=attempts, first_delay=600),
        registry=stopped_in_its_transaction(others, be_overtaken),
    )
    with pytest.raises(LockUnavailable, match="another worker"), capture_logs():
        overtaken.work_until_done(asked)
    others.dispose()
    row = ledger(engine)[0]
    assert (row.status, row.attempts, row.worker, row.error) == ("running", 2, "worker-b", None)


def test_a_request_is_worked_on_its_senders_word_without_a_look_at_its_row_and_after_those_before_it(
    engine: Engine, billing: Toolset
) -> None:
    asked = [ask(engine, billing) for _ in range(3)]
    outcome = mailbox(engine).work_unseen(ticket(engine, asked[1]))
    assert [row.status for row in ledger(engine)] == ["succeeded", "succeeded", "queued"]
    assert isinstance(outcome, Succeeded)
    assert outcome == record(engine, asked[1]).outcome


def test_on_its_senders_word_a_request_fails_as_it_would_otherwise(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing, "rollback", release_number=7)
    outcome = mailbox(engine).work_unseen(ticket(engine, asked))
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ReleaseNotFound)
    assert record(engine, asked).status == "failed"


def test_a_senders_word_does_not_wait_for_a_busy_toolset(engine: Engine, billing: Toolset, redis: Redis) -> None:
    asked = ask(engine, billing)
    patient = mailbox(engine, make_lock=redis_locks(redis), leases=LeasePolicy(lock_wait=600))
    with owner(redis, billing):
        assert patient.work_unseen(ticket(engine, asked)) is None
    assert record(engine, asked).attempts == 0


def test_a_senders_word_that_is_not_so_is_no_reason_to_work_anything(engine: Engine, billing: Toolset) -> None:
    done, waiting = ask(engine, billing), ask(engine, billing)
    other = billing.project.toolset("other")
    asked_of_other = ask(engine, other)
    worker = mailbox(engine)
    worker.work_until_done(done)
    before = ledger(engine)
    assert worker.work_unseen(ticket(engine, done)) is None
    assert worker.work_unseen(ticket(engine, waiting, id="nobody asked")) is None
    assert worker.work_unseen(ticket(engine, waiting, toolset_id=other.id)) is None
    assert worker.work_unseen(ticket(engine, asked_of_other, toolset_id=uuid4())) is None
    rollback = {"toolset": billing.path, "actor": "tester", "release_number": 1}
    assert worker.work_unseen(ticket(engine, waiting, kind="rollback", payload=rollback)) is None
    by_another = {"toolset": billing.path, "actor": "mallory"}
    assert worker.work_unseen(ticket(engine, waiting, payload=by_another)) is None
    assert ledger(engine) == before
