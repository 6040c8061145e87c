"""The sweeper: what was asked and is no longer on its way is published again, and not too often, whoever sweeps."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from release_worker import ReleaseClient
from release_worker.broker.routing import BEHIND_OTHERS, IN_LEDGER, TOOLSET
from release_worker.client import release_client
from release_worker.domain.request_record import RequestRecord
from release_worker.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    IdempotencyConflict,
    InvalidRequest,
    RequestNotFound,
    WorkerLost,
)
from release_worker.operations.sweep import SweepPolicy, Swept, sweep
from release_worker.store.engine import ledger_transaction
from release_worker.store.requests import hold
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset
from tests.support.ledger import LATER, ask, claim, end_leases, grow_old, ledger, mailbox, make_due, record, statuses
from tests.support.plug_ins import interrupted_by, raising
from tests.support.records import releases_of
from tests.support.workers import Service, published
from tests.support.world import Toolset

PATIENCE = 15.0
POLICY = SweepPolicy(patience=PATIENCE)
ATTEMPTS = 3


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def swept(engine: Engine, publish: Callable[[RequestRecord], None] = lambda _: None) -> Swept:
    return sweep(engine, publish, attempts=ATTEMPTS, policy=POLICY)


def test_a_lost_message_is_published_again_under_the_id_that_it_had(served: Service, client: ReleaseClient) -> None:
    billing = a_full_toolset(served.engine)
    labels = {"a": [1, 0.5, None]}
    asked = (
        client.rollback(billing.path, 3, actor="x", idempotency_key="k", components=["tools"]).id,
        client.create_release(billing.path, actor="x", notes="é\n", labels=labels, organization="acme").id,
    )
    sent = published(served)
    with served.redis() as redis:
        redis.flushdb()
    grow_old(served.engine, PATIENCE + 1)
    assert client.sweep().published == asked
    again = published(served)
    assert [(one.id, one.task, one.queue, one.keywords) for one in again] == [
        (one.id, one.task, one.queue, one.keywords) for one in sent
    ]
    assert all(one.headers[IN_LEDGER] and TOOLSET not in one.headers for one in again)  # a worker looks at the row
    assert statuses(served.engine) == ["queued", "queued"]


def test_of_a_toolset_all_but_the_first_request_are_published_again_behind_those_of_others(
    served: Service, client: ReleaseClient
) -> None:
    flooded, other = (a_full_toolset(served.engine, organization=name) for name in ("flooded", "other"))
    asked = [client.create_release(toolset.path, actor="x").id for toolset in (flooded, flooded, other, flooded)]
    urgent = client.rollback(flooded.path, 1, actor="x").id
    with served.redis() as redis:
        redis.flushdb()
    grow_old(served.engine, PATIENCE + 1)
    assert client.sweep().published == (*asked, urgent)
    again = [(one.id, one.priority) for one in published(served)]
    first, second, elsewhere, third = asked
    assert again == [
        (urgent, 0),
        (first, 0),
        (elsewhere, 0),
        (second, BEHIND_OTHERS),
        (third, BEHIND_OTHERS),
    ]


def test_a_request_is_given_time_before_it_counts_as_lost(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing)
    assert swept(engine).published == ()
    grow_old(engine, PATIENCE + 1)
    assert swept(engine).published == (asked,)
    assert swept(engine).published == ()
    grow_old(engine, PATIENCE + 1)
    assert swept(engine).published == (asked,)
    assert record(engine, asked).attempts == 0


def test_requests_that_are_done_are_left_alone(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).work_until_done(ask(engine, billing))
    mailbox(engine).work_until_done(ask(engine, billing, "rollback", release_number=7))
    grow_old(engine, 10 * PATIENCE)
    before = ledger(engine)
    assert swept(engine) == Swept((), ())
    assert ledger(engine) == before


def test_a_retry_is_published_when_it_is_due_and_not_before(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing)
    troubled = mailbox(engine, retry=LATER, registry=interrupted_by(raising(DatabaseUnavailable(reason="gone"))))
    with pytest.raises(DatabaseUnavailable), capture_logs():
        troubled.work_until_done(asked)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET created_at = created_at - interval '1 hour'"))
    assert swept(engine).published == ()
    make_due(engine)
    assert swept(engine).published == ()  # the task itself will be back at any moment
    grow_old(engine, PATIENCE + 1)
    assert swept(engine).published == (asked,)


def test_a_request_whose_worker_died_is_published_as_soon_as_its_lease_is_over(
    engine: Engine, billing: Toolset
) -> None:
    asked = ask(engine, billing)
    claim(engine, asked)
    assert swept(engine).published == ()
    end_leases(engine)
    assert swept(engine).published == (asked,)
    assert mailbox(engine).work_until_done(asked).attempts == 2
    assert swept(engine) == Swept((), ())


def test_a_request_that_a_transaction_is_at_work_on_is_left_to_it_although_its_lease_is_over(
    engine: Engine, billing: Toolset
) -> None:
    asked = ask(engine, billing)
    for _ in range(ATTEMPTS):
        held = claim(engine, asked)
        end_leases(engine)
    with ledger_transaction(engine) as connection:
        hold(connection, held)
        assert swept(engine) == Swept((), ())
    assert swept(engine).exhausted == (asked,)


@pytest.mark.parametrize("error", [None, DatabaseUnavailable(reason="gone")], ids=["no error yet", "an error"])
def test_a_request_whose_attempts_are_used_up_fails_with_its_last_error(
    engine: Engine, billing: Toolset, error: DatabaseUnavailable | None
) -> None:
    asked = ask(engine, billing)
    if error is not None:
        with pytest.raises(DatabaseUnavailable), capture_logs():
            mailbox(engine, registry=interrupted_by(raising(error))).work_until_done(asked)
    while record(engine, asked).attempts < ATTEMPTS:
        claim(engine, asked)
        end_leases(engine)
    assert swept(engine).exhausted == (asked,)
    failed = record(engine, asked)
    assert failed.status == "failed"
    assert failed.finished_at is not None
    with pytest.raises(type(error) if error else WorkerLost):
        failed.answer()
    assert swept(engine) == Swept((), ())


def test_of_many_sweepers_at_once_one_publishes_each_request(engine: Engine, billing: Toolset) -> None:
    asked = {ask(engine, billing) for _ in range(60)}
    lost = {ask(engine, billing.project.toolset(f"t{number}")) for number in range(20)}
    for request_id in lost:
        claim(engine, request_id)
    end_leases(engine)
    for _ in range(2):
        grow_old(engine, PATIENCE + 1)
        with ThreadPoolExecutor(8) as pool:
            rounds = list(pool.map(lambda _: swept(engine).published, range(24)))
        assert Counter(one for ids in rounds for one in ids) == dict.fromkeys(asked | lost, 1)


def test_one_sweep_publishes_the_oldest_first_and_only_so_many(engine: Engine, billing: Toolset) -> None:
    asked = [ask(engine, billing) for _ in range(7)]
    grow_old(engine, PATIENCE + 1)
    few = SweepPolicy(patience=PATIENCE, limit=3)
    seen = [sweep(engine, lambda _: None, attempts=ATTEMPTS, policy=few).published for _ in range(4)]
    assert seen == [tuple(asked[:3]), tuple(asked[3:6]), tuple(asked[6:]), ()]


def test_a_sweep_ends_where_the_broker_is_gone_and_the_next_one_goes_on(engine: Engine, billing: Toolset) -> None:
    asked = [ask(engine, billing) for _ in range(4)]
    grow_old(engine, PATIENCE + 1)
    tried: list[str] = []

    def publish(lost: RequestRecord) -> None:
        tried.append(lost.id)
        if len(tried) == 2:
            raise BrokerUnavailable(reason="gone")

    done = swept(engine, publish)
    assert (done.published, str(done.ended_by)) == ((asked[0],), str(BrokerUnavailable(reason="gone")))
    assert tried == asked[:2]
    grow_old(engine, PATIENCE + 1)
    assert swept(engine).published == tuple(asked)


def test_a_client_tells_that_the_broker_went_away_in_the_middle_of_its_sweep(
    served: Service, client: ReleaseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    billing = a_full_toolset(served.engine)
    asked = [ask(served.engine, billing) for _ in range(2)]
    grow_old(served.engine, PATIENCE + 1)
    tried: list[str] = []

    def publish(lost: RequestRecord) -> None:
        tried.append(lost.id)
        if len(tried) == 2:
            raise BrokerUnavailable(reason="gone")

    monkeypatch.setattr(release_client, "publisher_again", lambda _app: publish)
    with pytest.raises(BrokerUnavailable, match="gone"):
        client.sweep()
    assert tried == asked


def test_a_failed_request_is_brought_back_with_all_its_attempts(served: Service, client: ReleaseClient) -> None:
    billing = a_full_toolset(served.engine)
    asked = ask(served.engine, billing, "rollback", release_number=1)
    mailbox(served.engine).work_until_done(asked)
    mailbox(served.engine).work_until_done(ask(served.engine, billing))
    handle = client.retry(asked)
    assert (handle.id, handle.kind, handle.published) == (asked, "rollback", True)
    again = record(served.engine, asked)
    assert (again.status, again.attempts, again.finished_at) == ("queued", 1, None)
    assert [(one.id, one.queue) for one in published(served)] == [(asked, "rollbacks")]
    assert mailbox(served.engine).work_until_done(asked).status == "succeeded"
    assert handle.result(1).noop
    assert record(served.engine, asked).error is None


@pytest.mark.parametrize("status", ["queued", "running", "succeeded"])
def test_what_has_not_failed_is_not_brought_back(served: Service, client: ReleaseClient, status: str) -> None:
    billing = a_full_toolset(served.engine)
    asked = ask(served.engine, billing)
    if status == "running":
        claim(served.engine, asked)
    elif status == "succeeded":
        mailbox(served.engine).work_until_done(asked)
    before = ledger(served.engine)
    with pytest.raises(InvalidRequest, match="only a failed request can be tried again"):
        client.retry(asked)
    assert ledger(served.engine) == before
    assert published(served) == []
    assert len(releases_of(served.engine, billing)) == (status == "succeeded")


def test_what_was_refused_is_not_brought_back(served: Service, client: ReleaseClient) -> None:
    billing = a_full_toolset(served.engine)
    ask(served.engine, billing, idempotency_key="k")
    inbox = Inbox(served.engine)
    with pytest.raises(InvalidRequest):
        inbox.accept("create_release", Message("invalid", [], {}, in_ledger=False))
    other = {"toolset": billing.path, "actor": "x", "release_number": 1, "idempotency_key": "k"}
    with pytest.raises(IdempotencyConflict):
        inbox.accept("rollback", Message("conflict", [], other, in_ledger=False))
    for refused in ("invalid", "conflict"):
        with pytest.raises(InvalidRequest, match="refused"):
            client.retry(refused)
        assert record(served.engine, refused).status == "failed"
    assert published(served) == []


def test_what_is_not_there_is_not_brought_back(client: ReleaseClient) -> None:
    with pytest.raises(RequestNotFound):
        client.retry(str(uuid4()))
