"""Every event comes to everyone who wants it, at least once, and nobody is held up by others."""

import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.deliveries import DeliveryPolicy, Message, Receiver, Undelivered
from release_worker.domain.events import Event
from release_worker.embedded.process import eventually
from release_worker.errors import EventNotFound, InvalidRequest, OwnerNotFound, SubscriptionNotFound
from release_worker.operations.deliver_events import Attempt, deliver_events
from release_worker.operations.forget_events import forget_events
from release_worker.operations.subscribing import redeliver, switch, unsubscribe
from release_worker.settings import Settings
from release_worker.store.deliveries import dispatch, lease_receivers
from release_worker.store.engine import ledger_transaction, make_engine, single_statement
from release_worker.store.events import add_event
from release_worker.worker.runtime import Runtime
from tests.support.billing import a_full_toolset
from tests.support.events import (
    AT_ONCE,
    Inbox,
    change,
    deliveries,
    events,
    happen,
    subscribed,
    subscription,
)
from tests.support.kill_points import Killed, KillSwitch
from tests.support.receivers import endpoint
from tests.support.servers import Servers
from tests.support.world import World

ROOT = Path(__file__).parents[3]
FAILED = Undelivered("answered 500")
DAY = timedelta(days=1)


def deliver(engine: Engine, inbox: Inbox, policy: DeliveryPolicy = AT_ONCE) -> list[Attempt]:
    return deliver_events(engine, inbox, policy)


def test_an_event_comes_to_each_subscription_once_and_is_noted(engine: Engine) -> None:
    both = {subscribed(engine), subscribed(engine, task="app.told", queue="theirs")}
    event_id = happen(engine)
    inbox = Inbox()
    assert len(deliver(engine, inbox)) == 2
    assert {to for to, _ in inbox.came} == both
    assert {message.id for _, message in inbox.came} == {event_id}
    assert deliver(engine, inbox) == []
    assert len(inbox.came) == 2
    assert all(row.delivered_at is not None and row.attempts == 1 for row in deliveries(engine))
    assert subscription(engine, both.pop()).last_delivered_at is not None


def test_what_happened_before_a_subscription_is_not_for_it(engine: Engine) -> None:
    """Also if no worker has looked at it before."""
    happen(engine, 1)
    subscribed(engine)
    happen(engine, 2)
    inbox = Inbox()
    deliver(engine, inbox)
    assert inbox.numbers() == [2]


def test_an_event_that_commits_after_one_with_a_higher_number_is_not_passed_by(engine: Engine) -> None:
    subscribed(engine)
    inbox = Inbox()
    with ledger_transaction(engine) as slow:
        add_event(slow, Event("drift.detected", {"n": "slow"}))
        happen(engine, 2)
        deliver(engine, inbox)
        assert inbox.numbers() == [2]
    deliver(engine, inbox)
    assert inbox.numbers() == [2, "slow"]


def test_a_subscription_says_which_types_and_whose_events_it_wants(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    other = a_full_toolset(engine, organization="other")
    wanted = {
        subscribed(engine): [1, 2, 3, 4],
        subscribed(engine, types=("schedule.suspended", "release.created")): [2],
        subscribed(engine, organization="acme"): [1, 2],
        subscribed(engine, project="acme/payments"): [1],
        subscribed(engine, organization="other", types=("drift.detected",)): [3],
    }
    happen(engine, 1, toolset_id=billing.id)
    happen(engine, 2, type="schedule.suspended", organization_id=billing.project.organization.id)
    happen(engine, 3, toolset_id=other.id)
    happen(engine, 4)
    inbox = Inbox()
    deliver(engine, inbox)
    assert {one: inbox.numbers(one) for one in wanted} == wanted


def test_a_subscription_of_nobody_is_refused(engine: Engine) -> None:
    World(engine).organization("acme")
    with pytest.raises(OwnerNotFound):
        subscribed(engine, organization="nobody")
    with pytest.raises(OwnerNotFound):
        subscribed(engine, project="acme/nothing")


def test_a_receiver_gets_its_events_in_their_order_also_in_several_batches(engine: Engine) -> None:
    subscribed(engine)
    for number in range(7):
        happen(engine, number)
    inbox = Inbox()
    deliver(engine, inbox, replace(AT_ONCE, batch=3))
    assert inbox.numbers() == list(range(7))


def test_what_fails_is_tried_again_with_the_same_id_until_it_arrives(engine: Engine) -> None:
    one = subscribed(engine)
    event_id = happen(engine)
    inbox = Inbox(FAILED, FAILED)
    [failed] = deliver(engine, inbox)
    assert (failed.failed, failed.given_up) == ("answered 500", False)
    [row] = deliveries(engine)
    assert (row.attempts, row.last_error, row.delivered_at) == (1, "answered 500", None)
    assert subscription(engine, one).failures == 1
    assert subscription(engine, one).last_error == "answered 500"
    deliver(engine, inbox)
    deliver(engine, inbox)
    assert [message.id for _, message in inbox.came] == 3 * [event_id]
    assert [message.attempts for _, message in inbox.came] == [0, 1, 2]
    [row] = deliveries(engine)
    assert (row.attempts, row.last_error) == (3, None)
    assert row.delivered_at is not None
    state = subscription(engine, one)
    assert (state.failures, state.failing_since, state.paused_until) == (0, None, None)


def test_the_waits_grow_as_standard_webhooks_recommends_and_then_end() -> None:
    policy = DeliveryPolicy()
    waits = [policy.wait(attempts) for attempts in range(1, 11)]
    assert waits[-1] is None
    hours = [wait / 3600 for wait in waits if wait is not None]
    for found, recommended in zip(hours, (5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24), strict=True):
        assert 0.9 * recommended <= found <= 1.1 * recommended


def test_after_its_attempts_an_event_is_given_up_and_the_others_go_on(engine: Engine) -> None:
    subscribed(engine)
    happen(engine, 1)
    inbox = Inbox(FAILED, FAILED, FAILED)
    for _ in range(2):
        assert not deliver(engine, inbox)[0].given_up
    assert deliver(engine, inbox)[0].given_up
    assert deliveries(engine)[0].dead_at is not None
    happen(engine, 2)
    deliver(engine, inbox)
    assert inbox.numbers() == [1, 1, 1, 2]


def test_a_receiver_that_failed_rests_whatever_else_is_due_for_it(engine: Engine) -> None:
    one, policy = subscribed(engine), replace(AT_ONCE, first_pause=600.0, longest_pause=600.0)
    for number in (1, 2, 3):
        happen(engine, number)
    inbox = Inbox(FAILED)
    deliver(engine, inbox, policy)
    assert deliver(engine, inbox, policy) == []
    assert inbox.numbers() == [1]
    change(engine, "UPDATE release_event_subscriptions SET paused_until = now()")
    deliver(engine, inbox, policy)
    assert inbox.numbers() == [1, 1, 2, 3]
    assert subscription(engine, one).failures == 0


def test_pauses_double_up_to_the_longest(engine: Engine) -> None:
    one, policy = subscribed(engine), replace(AT_ONCE, waits=(0.0,) * 9, first_pause=100.0, longest_pause=350.0)
    happen(engine)
    pauses = []
    for _ in range(4):
        change(engine, "UPDATE release_event_subscriptions SET paused_until = NULL")
        deliver(engine, Inbox(FAILED), policy)
        with engine.connect() as connection:
            query = "SELECT extract(epoch FROM paused_until - now()) FROM release_event_subscriptions"
            pauses.append(float(connection.execute(text(query)).scalar_one()))
    assert subscription(engine, one).failures == 4
    for found, full in zip(pauses, (100, 200, 350, 350), strict=True):
        assert 0.8 * full < found < 1.11 * full


def test_one_that_is_gone_is_told_nothing_more_until_it_is_resumed(engine: Engine) -> None:
    one = subscribed(engine)
    happen(engine, 1)
    happen(engine, 2)
    inbox = Inbox(Undelivered("answered 410", gone=True))
    [attempt] = deliver(engine, inbox)
    assert (attempt.given_up, attempt.disabled) == (True, "answered 410")
    state = subscription(engine, one)
    assert (state.enabled, state.disabled_reason) == (False, "answered 410")
    assert all(row.dead_at is not None for row in deliveries(engine))
    happen(engine, 3)
    assert deliver(engine, inbox) == []
    with ledger_transaction(engine) as connection:
        with pytest.raises(InvalidRequest, match="resume it first"):
            redeliver(connection, None, to=str(one))
        switch(connection, str(one), None)
        assert redeliver(connection, None, to=str(one)) == 2
    happen(engine, 4)
    deliver(engine, inbox)
    assert inbox.numbers() == [1, 1, 2, 4]


def test_one_that_has_only_failed_for_days_is_told_nothing_more(engine: Engine) -> None:
    one = subscribed(engine)
    happen(engine)
    inbox = Inbox(FAILED, FAILED)
    deliver(engine, inbox)
    assert subscription(engine, one).enabled
    change(engine, "UPDATE release_event_subscriptions SET failing_since = now() - interval '5 days 1 second'")
    [attempt] = deliver(engine, inbox)
    assert attempt.given_up
    assert "only failed for too long: answered 500" in str(attempt.disabled)
    assert not subscription(engine, one).enabled


def test_an_event_is_delivered_once_more_under_its_id_if_somebody_asks(engine: Engine) -> None:
    one, other = subscribed(engine), subscribed(engine, types=("release.created",))
    event_id = happen(engine)
    inbox = Inbox()
    deliver(engine, inbox)
    with ledger_transaction(engine) as connection:
        assert redeliver(connection, str(event_id)) == 1
    deliver(engine, inbox)
    with ledger_transaction(engine) as connection:
        assert redeliver(connection, str(event_id), to=str(other)) == 1  # which would not have wanted it
    deliver(engine, inbox)
    assert [to for to, _ in inbox.came] == [one, one, other]
    assert {message.id for _, message in inbox.came} == {event_id}


def test_what_is_not_there_is_not_found(engine: Engine) -> None:
    one, nobody = subscribed(engine), str(UUID(int=0))
    with ledger_transaction(engine) as connection:
        for event_id in (nobody, "no id"):
            with pytest.raises(EventNotFound):
                redeliver(connection, event_id, to=str(one))
        for subscription_id in (nobody, "no id"):
            with pytest.raises(SubscriptionNotFound):
                unsubscribe(connection, subscription_id)
            with pytest.raises(SubscriptionNotFound):
                switch(connection, subscription_id, None)
            with pytest.raises(SubscriptionNotFound):
                redeliver(connection, None, to=subscription_id)
        with pytest.raises(InvalidRequest):
            redeliver(connection, None)


def test_what_belongs_to_another_organization_is_not_found(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    World(engine).organization("other")
    one = subscribed(engine, project="acme/payments")
    event_id = happen(engine, toolset_id=billing.id)
    with ledger_transaction(engine) as connection:
        with pytest.raises(SubscriptionNotFound):
            unsubscribe(connection, str(one), organization="other")
        with pytest.raises(SubscriptionNotFound):
            switch(connection, str(one), None, organization="other")
        with pytest.raises(EventNotFound):
            redeliver(connection, str(event_id), organization="other")
        assert redeliver(connection, str(event_id), organization="acme") == 1
        unsubscribe(connection, str(one), organization="acme")
    assert deliveries(engine) == []


class Slow(Inbox):
    """Lets one of its receivers wait until the test says so."""

    def __init__(self, slow: UUID) -> None:
        super().__init__()
        self.slow = slow
        self.waiting = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, receiver: Receiver, message: Message) -> Undelivered | None:
        if receiver.subscription_id == self.slow:
            self.waiting.set()
            assert self.go_on.wait(60)
        return super().__call__(receiver, message)


def test_a_slow_receiver_holds_up_nobody_and_no_transaction(engine: Engine) -> None:
    slow = subscribed(engine)
    fast = [subscribed(engine) for _ in range(3)]
    happen(engine, 1)
    inbox = Slow(slow)
    with ThreadPoolExecutor() as threads:
        run = threads.submit(deliver, engine, inbox)
        assert inbox.waiting.wait(60)
        happen(engine, 2)
        for _ in range(1000):  # the first run may still be with one that is not slow
            deliver(engine, inbox)
            if all(inbox.numbers(one) == [1, 2] for one in fast):
                break
        assert all(inbox.numbers(one) == [1, 2] for one in fast)
        assert inbox.numbers(slow) == []
        with engine.connect() as connection:
            idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
            assert connection.execute(text(idle)).scalar_one() == 0
        inbox.go_on.set()
        run.result(60)
    deliver(engine, inbox)
    assert inbox.numbers(slow) == [1, 2]


def test_no_more_runs_than_allowed_wait_for_slow_receivers(engine: Engine) -> None:
    """Each occupies a slot of the worker."""
    everyone = {subscribed(engine) for _ in range(5)}
    happen(engine)
    policy = replace(AT_ONCE, receivers=2, runs=2)
    with single_statement(engine) as connection:
        dispatch(connection, limit=10)
        leased = [lease_receivers(connection, UUID(int=run), policy) for run in range(1, 5)]
    assert [len(run) for run in leased] == [2, 2, 0, 0]
    change(engine, "UPDATE release_event_subscriptions SET lease_until = now() WHERE lease_until IS NOT NULL")
    with single_statement(engine) as connection:
        next_run = lease_receivers(connection, UUID(int=9), policy)
    [waiting] = everyone - {one.subscription_id for run in leased for one in run}
    assert waiting in {one.subscription_id for one in next_run}, "whose turn never was comes first"


def test_those_that_work_come_before_those_that_fail(engine: Engine) -> None:
    failing, working = subscribed(engine), subscribed(engine)
    happen(engine)
    change(engine, f"UPDATE release_event_subscriptions SET failures = 1 WHERE id = '{failing}'")
    with single_statement(engine) as connection:
        dispatch(connection, limit=10)
        [first] = lease_receivers(connection, UUID(int=1), replace(AT_ONCE, receivers=1))
    assert first.subscription_id == working


def test_two_deliverers_at_once_lose_nothing_and_share_the_work(engine: Engine) -> None:
    everyone = [subscribed(engine) for _ in range(6)]
    inbox = Inbox()
    with ThreadPoolExecutor(4) as threads:
        for number in range(10):
            happen(engine, number)
            list(threads.map(lambda _: deliver(engine, inbox), range(2)))
    deliver(engine, inbox)
    for one in everyone:
        assert sorted(inbox.numbers(one)) == list(range(10)), "each event, and with no crash no event twice"


def test_a_deliverer_that_is_killed_between_the_answer_and_its_note_sends_again_under_the_same_id(
    engine: Engine, database_url: str
) -> None:
    """The process dies when the receiver has answered, before it can write that down."""
    with endpoint() as receiver:
        subscribed(engine, url=receiver.url)
        event_id = happen(engine)
        command = [sys.executable, "-m", "tests.support.dying_deliverer", database_url]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert receiver.ids() == [str(event_id)]
        [row] = deliveries(engine)
        assert (row.delivered_at, row.attempts) == (None, 0)
        inbox = Inbox()
        assert deliver(engine, inbox) == [], "the lease of the dead one holds"
        change(engine, "UPDATE release_event_subscriptions SET lease_until = now()")
        deliver(engine, inbox)
        assert [message.id for _, message in inbox.came] == [event_id]


def _all_come(engine: Engine, inbox: Inbox, count: int) -> bool:
    deliver(engine, inbox)
    return set(inbox.numbers()) == set(range(count))


def test_a_deliverer_that_dies_at_any_moment_loses_no_event(engine: Engine, database_url: str) -> None:
    """One death after the other, a statement later each; the next deliverer comes when the lease has run out."""
    one, inbox = subscribed(engine), Inbox()
    mortal = make_engine(database_url)
    switch = KillSwitch(mortal)
    deaths, survived = 0, False
    while not survived:
        happen(engine, deaths)
        inbox.answers = [FAILED] if deaths % 2 else []
        switch.arm(deaths)
        with suppress(Killed):
            deliver(mortal, inbox)
        survived = not switch.dead
        switch.disarm()
        change(engine, "UPDATE release_event_subscriptions SET lease_until = now() WHERE lease_until IS NOT NULL")
        # PostgreSQL may take a moment to see that the dead one is gone; until then, its rows are passed by.
        assert eventually(lambda: _all_come(engine, inbox, deaths + 1), within=30)  # noqa: B023
        deaths += 1
    assert deaths > 10
    assert all(row.delivered_at is not None for row in deliveries(engine))
    by_number = {
        number: {message.id for _, message in inbox.came if message.data["n"] == number} for number in range(deaths)
    }
    assert all(len(ids) == 1 for ids in by_number.values())
    assert subscription(engine, one).enabled
    mortal.dispose()


def test_a_subscription_that_is_removed_while_something_is_sent_is_no_error(engine: Engine) -> None:
    one = subscribed(engine)
    happen(engine)

    def send(_receiver: Receiver, _message: Message) -> Undelivered:
        with ledger_transaction(engine) as connection:
            unsubscribe(connection, str(one))
        return FAILED

    [attempt] = deliver_events(engine, send, AT_ONCE)
    assert (attempt.failed, attempt.disabled) == ("answered 500", None)
    assert deliveries(engine) == []


def test_a_defect_of_a_way_of_sending_fails_the_run_and_gives_the_lease_back(engine: Engine) -> None:
    subscribed(engine)
    happen(engine)

    def send(_receiver: Receiver, _message: Message) -> None:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        deliver_events(engine, send, AT_ONCE)
    inbox = Inbox()
    deliver(engine, inbox)
    assert inbox.numbers() == [1]


def test_old_events_are_deleted_in_batches_and_none_that_somebody_waits_for(engine: Engine) -> None:
    subscribed(engine)
    for number in range(3):
        happen(engine, number)
    deliver(engine, Inbox(None, None, FAILED), replace(AT_ONCE, waits=(600.0,)))
    happen(engine, 3)
    change(engine, "UPDATE release_events SET created_at = now() - interval '10 days' WHERE (data ->> 'n')::int < 3")

    assert forget_events(engine, None) == 0
    assert forget_events(engine, timedelta(days=11)) == 0
    assert forget_events(engine, DAY, batch=1) == 2
    assert forget_events(engine, DAY) == 0
    assert [event.data["n"] for event in events(engine)] == [2, 3]
    change(engine, "UPDATE release_event_deliveries SET dead_at = now() WHERE delivered_at IS NULL")
    assert forget_events(engine, DAY) == 1
    assert [event.data["n"] for event in events(engine)] == [3]
    assert len(deliveries(engine)) == 0


def test_an_event_that_nobody_has_looked_at_is_not_deleted(engine: Engine) -> None:
    happen(engine)
    change(engine, "UPDATE release_events SET created_at = now() - interval '10 days'")
    assert forget_events(engine, DAY) == 0


def test_a_deployment_says_for_how_long_events_are_kept(servers: Servers, engine: Engine, database_url: str) -> None:
    happen(engine)
    dispatch_all(engine)
    change(engine, "UPDATE release_events SET created_at = now() - interval '30 days'")
    urls = {"database_url": database_url, "broker_url": servers.broker_url}
    for days, deleted in ((0, 0), (31, 0), (29, 1)):
        runtime = Runtime(Settings.model_validate({**urls, "keep_events_days": days}))
        assert runtime.forget_events() == deleted
        runtime.close()


def dispatch_all(engine: Engine) -> None:
    with ledger_transaction(engine) as connection:
        dispatch(connection, limit=1000)


def test_the_engine_of_a_worker_has_room_for_a_run(database_url: str) -> None:
    """With the pool of a worker, every receiver has a thread and each thread a connection when it needs one."""
    engine = make_engine(database_url)
    everyone = [subscribed(engine) for _ in range(DeliveryPolicy().receivers)]
    for number in range(5):
        happen(engine, number)
    inbox = Inbox()
    deliver_events(engine, inbox)
    assert all(inbox.numbers(one) == list(range(5)) for one in everyone)
    engine.dispose()
