"""The toolset lock and the heartbeat, on a Redis inside this process."""

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fakeredis import FakeRedis, FakeServer
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.contextvars import bound_contextvars
from structlog.contextvars import get_contextvars as log_context
from structlog.testing import capture_logs

from release_worker.errors import LockUnavailable
from release_worker.worker import heartbeat
from release_worker.worker.heartbeat import Heartbeat
from release_worker.worker.lock import (
    RedisToolsetLock,
    lock_holder,
    lock_key,
    toolset_lock_client,
)

TOOLSET = UUID("01920000-0000-7000-8000-000000000001")
OTHER_TOOLSET = UUID("01920000-0000-7000-8000-000000000002")
KEY = f"release_worker:lock:toolset:{TOOLSET}"
SIGNAL = f"{KEY}:released"
LONG = 60.0  # seconds; a test that waits for as long has failed


class ClientOnABadLine(FakeRedis):
    """Counts the scripts that reach the server; loses or delays their requests and answers as it is told to."""

    scripts_run = 0
    requests_to_lose = 0
    answers_to_lose = 0
    traffic_jam: Callable[[], object] | None = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        send: Callable[..., Any] = super().execute_command
        if args[0] != "EVALSHA":
            return send(*args, **options)
        if self.traffic_jam:
            self.traffic_jam()
        if self.requests_to_lose:
            self.requests_to_lose -= 1
            raise RedisConnectionError("Broken pipe")
        answer = send(*args, **options)
        self.scripts_run += 1
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise RedisConnectionError("Connection reset by peer")
        return answer


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def redis(server: FakeServer) -> Iterator[ClientOnABadLine]:
    with ClientOnABadLine(server=server, socket_timeout=None) as client:
        yield client


def lock_of(
    redis: Redis, owner: str = "worker-a", *, toolset: UUID = TOOLSET, ttl: float = LONG, wait: float = 0
) -> RedisToolsetLock:
    return RedisToolsetLock(redis, toolset, owner=owner, ttl=ttl, wait=wait)


def owner_of(redis: Redis, toolset: UUID = TOOLSET) -> str | None:
    holder = lock_holder(redis, toolset)
    return holder.owner if holder else None


def until(condition: Callable[[], bool], timeout: float = LONG) -> bool:
    deadline = time.monotonic() + timeout
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def test_entering_takes_the_lock_and_leaving_gives_it_back(redis: Redis) -> None:
    lock = lock_of(redis)
    held = [lock.held]
    with lock as entered:
        assert entered is lock
        assert redis.exists(KEY)
        held.append(lock.held)
    held.append(lock.held)
    assert held == [False, True, False]
    assert not redis.exists(KEY)
    assert lock_key(TOOLSET) == KEY


def test_an_error_inside_gives_the_lock_back_and_goes_on(redis: Redis) -> None:
    with pytest.raises(ZeroDivisionError), lock_of(redis):
        _ = 1 / 0
    assert not redis.exists(KEY)


def test_a_lock_can_be_entered_again_after_it_was_left(redis: Redis) -> None:
    lock = lock_of(redis)
    with lock:
        pass
    with lock:
        assert lock.held
    assert not redis.exists(KEY)


def test_operators_can_ask_who_holds_the_lock_since_when_and_until_when(redis: Redis) -> None:
    before = datetime.now(UTC)
    with lock_of(redis, "celery@höst pid 12", ttl=50):
        holder = lock_holder(redis, TOOLSET)
    assert holder is not None
    assert holder.owner == "celery@höst pid 12"
    assert before <= holder.since <= datetime.now(UTC)
    assert holder.since.utcoffset() == timedelta(0)
    assert 0 < holder.ttl <= 50


def test_nobody_holds_a_lock_that_is_free(redis: Redis) -> None:
    assert lock_holder(redis, TOOLSET) is None


@pytest.mark.parametrize("value", ["by hand", "12", "[]", '{"owner": "x"}', '{"owner": "x", "since": "?"}'])
def test_a_value_that_was_not_written_here_holds_the_lock_without_a_name(redis: Redis, value: str) -> None:
    redis.set(KEY, value, ex=50)
    assert lock_holder(redis, TOOLSET) is None
    with pytest.raises(LockUnavailable) as refusal, lock_of(redis):
        pass
    assert refusal.value.details["holder"] is None


def test_a_key_that_would_never_expire_gets_an_expiry(redis: Redis) -> None:
    redis.set(KEY, "by hand")
    with lock_of(redis, ttl=0.05, wait=LONG) as lock:
        assert lock.held


def test_a_busy_lock_without_a_wait_is_refused_at_once_and_names_the_holder(redis: ClientOnABadLine) -> None:
    with lock_of(redis, "worker-a"):
        tries_before = redis.scripts_run
        with pytest.raises(LockUnavailable) as refusal, lock_of(redis, "worker-b"):
            pass
        assert redis.scripts_run == tries_before + 1
        assert owner_of(redis) == "worker-a"
    assert refusal.value.details == {"toolset_id": str(TOOLSET), "holder": "worker-a"}
    assert str(TOOLSET) in str(refusal.value)


def test_a_wait_is_bounded(redis: Redis) -> None:
    with lock_of(redis, "worker-a"):
        started = time.monotonic()
        with pytest.raises(LockUnavailable, match=str(TOOLSET)), lock_of(redis, "worker-b", wait=0.05):
            pass
        assert 0.05 <= time.monotonic() - started < LONG / 2


def test_a_refused_lock_renews_nothing(redis: Redis) -> None:
    refused = lock_of(redis, "worker-b")
    with lock_of(redis, "worker-a"), pytest.raises(LockUnavailable):
        refused.__enter__()
    assert refused.renew() is False
    assert not redis.exists(KEY)


def test_toolsets_do_not_keep_each_other_waiting(redis: Redis) -> None:
    with lock_of(redis), lock_of(redis, "worker-b", toolset=OTHER_TOOLSET) as other:
        assert other.held
        assert owner_of(redis, OTHER_TOOLSET) == "worker-b"


def test_a_waiter_wakes_when_the_lock_is_given_back(redis: Redis) -> None:
    got_it = threading.Event()

    def wait_for_it() -> None:
        with lock_of(redis, "worker-b", wait=LONG) as lock:
            assert lock.held
            got_it.set()

    waiter = threading.Thread(target=wait_for_it, daemon=True)
    with lock_of(redis, "worker-a"):
        waiter.start()
        assert not got_it.wait(0.05)
    assert got_it.wait(LONG / 4)
    waiter.join(LONG)


def test_a_holder_that_died_keeps_others_waiting_until_its_key_lapses(redis: Redis) -> None:
    lock_of(redis, "dead", ttl=0.05).__enter__()
    started = time.monotonic()
    with lock_of(redis, "worker-b", wait=LONG) as lock:
        assert lock.held
        assert owner_of(redis) == "worker-b"
    assert time.monotonic() - started < LONG / 4


def test_giving_back_leaves_one_signal_that_lapses(redis: Redis) -> None:
    for _ in range(3):
        with lock_of(redis):
            pass
    assert redis.llen(SIGNAL) == 1
    assert 0 < redis.pttl(SIGNAL) <= 1000


def test_a_signal_left_over_costs_a_waiter_one_more_try(redis: ClientOnABadLine) -> None:
    with lock_of(redis, "worker-a"):
        redis.rpush(SIGNAL, "left over")
        tries_before = redis.scripts_run
        with pytest.raises(LockUnavailable), lock_of(redis, "worker-b", wait=0.1):
            pass
        assert redis.scripts_run - tries_before <= 4


def test_leaving_does_not_free_a_lock_that_another_took_meanwhile(redis: Redis) -> None:
    with capture_logs() as logs:
        with lock_of(redis, "worker-a"):
            redis.delete(KEY)
            lock_of(redis, "worker-b").__enter__()
        assert owner_of(redis) == "worker-b"
    assert not redis.exists(SIGNAL)
    assert logs == [{"event": "toolset_lock_lost", "log_level": "warning", "toolset_id": str(TOOLSET)}]


def test_leaving_a_lock_that_is_gone_logs_one_line(redis: Redis) -> None:
    with capture_logs() as logs, lock_of(redis):
        redis.flushall()
    assert [line["event"] for line in logs] == ["toolset_lock_lost"]


def test_renewing_makes_the_lock_last(redis: Redis) -> None:
    with capture_logs() as logs, lock_of(redis, ttl=50) as lock:
        taken = lock_holder(redis, TOOLSET)
        redis.pexpire(KEY, 10_000)
        assert lock.renew() is True
        renewed = lock_holder(redis, TOOLSET)
    assert taken is not None
    assert renewed is not None
    assert renewed.ttl > 30
    assert renewed.since == taken.since
    assert logs == []


def test_renewing_leaves_alone_a_lock_that_another_took(redis: Redis) -> None:
    with capture_logs() as logs:
        with lock_of(redis, "worker-a") as lock:
            redis.delete(KEY)
            lock_of(redis, "worker-b", ttl=20).__enter__()
            assert lock.renew() is False
            assert lock.renew() is False
            assert not lock.held
            assert redis.pttl(KEY) <= 20_000
        assert owner_of(redis) == "worker-b"
    assert [line["event"] for line in logs] == ["toolset_lock_lost"]


def test_renewing_takes_a_flushed_lock_again_if_it_is_free(redis: Redis) -> None:
    with capture_logs() as logs:
        with lock_of(redis, "worker-a") as lock:
            redis.flushall()
            assert lock.renew() is True
            with pytest.raises(LockUnavailable), lock_of(redis, "worker-b"):
                pass
        assert not redis.exists(KEY)
    assert [line["event"] for line in logs] == ["toolset_lock_regained"]


def test_renewing_outside_of_the_block_takes_nothing(redis: Redis) -> None:
    lock = lock_of(redis)
    assert lock.renew() is False
    with lock:
        pass
    assert lock.renew() is False
    assert not redis.exists(KEY)


def test_a_renewal_under_way_does_not_take_the_lock_after_it_was_given_back(redis: ClientOnABadLine) -> None:
    under_way, go_on = threading.Event(), threading.Event()

    def jam() -> None:
        redis.traffic_jam = None
        under_way.set()
        go_on.wait(LONG)

    lock = lock_of(redis).__enter__()
    redis.traffic_jam = jam
    renewing = threading.Thread(target=lock.renew, daemon=True)
    renewing.start()
    assert under_way.wait(LONG)
    leaving = threading.Thread(target=lock.__exit__, args=(None, None, None), daemon=True)
    leaving.start()
    leaving.join(0.05)
    go_on.set()
    renewing.join(LONG)
    leaving.join(LONG)
    assert not redis.exists(KEY)


def test_the_lock_outlives_a_flush_of_the_scripts(redis: Redis) -> None:
    with lock_of(redis) as lock:
        redis.script_flush()
        assert lock.renew() is True
        redis.script_flush()
    assert not redis.exists(KEY)


def test_a_worker_whose_answer_was_lost_does_not_wait_for_itself(redis: ClientOnABadLine) -> None:
    redis.answers_to_lose = 1
    with capture_logs() as logs, lock_of(redis, ttl=50) as lock:
        assert lock.held
        assert owner_of(redis) == "worker-a"
        assert redis.scripts_run == 2
    assert not redis.exists(KEY)
    assert logs == []


def test_a_connection_that_died_while_idle_does_not_cost_the_lock(redis: ClientOnABadLine) -> None:
    redis.requests_to_lose = 1
    with lock_of(redis) as lock:
        assert lock.held


def test_a_lock_whose_answers_were_all_lost_is_given_back_all_the_same(redis: ClientOnABadLine) -> None:
    redis.answers_to_lose = 2
    with lock_of(redis) as lock:
        assert not lock.held
        assert redis.exists(KEY)
    assert not redis.exists(KEY)


def test_without_redis_the_work_goes_on_without_the_lock(server: FakeServer, redis: Redis) -> None:
    server.connected = False
    with capture_logs() as logs, lock_of(redis, wait=LONG) as lock:
        assert not lock.held
        assert lock.renew() is False
    assert {line["event"] for line in logs} == {"toolset_lock_unreachable"}
    assert [line["step"] for line in logs] == ["acquire", "renew", "release"]
    assert {line["toolset_id"] for line in logs} == {str(TOOLSET)}


def test_a_lock_that_cannot_be_had_for_want_of_redis_is_taken_when_it_is_back(server: FakeServer, redis: Redis) -> None:
    server.connected = False
    with lock_of(redis) as lock:
        server.connected = True
        assert lock.renew() is True
        assert owner_of(redis) == "worker-a"
    assert not redis.exists(KEY)


def test_redis_dying_under_a_held_lock_raises_nothing(server: FakeServer, redis: Redis) -> None:
    with capture_logs() as logs, lock_of(redis) as lock:
        server.connected = False
        assert lock.renew() is False
        assert not lock.held
    assert [(line["event"], line["step"]) for line in logs] == [
        ("toolset_lock_unreachable", "renew"),
        ("toolset_lock_unreachable", "release"),
    ]


def test_a_key_of_another_type_does_not_stop_the_work(redis: Redis) -> None:
    redis.rpush(KEY, "by hand")
    with capture_logs() as logs, lock_of(redis) as lock:
        assert not lock.held
    assert {line["event"] for line in logs} == {"toolset_lock_unreachable"}


def test_a_client_that_decodes_answers_serves_as_well(server: FakeServer) -> None:
    with FakeRedis(server=server, decode_responses=True) as redis:
        with lock_of(redis) as lock, pytest.raises(LockUnavailable), lock_of(redis, "worker-b", wait=0.01):
            pass
        assert not lock.held
        assert redis.exists(KEY) == 0


def test_the_lock_client_sends_a_command_once_and_never_waits_for_long() -> None:
    with toolset_lock_client("redis://localhost/3") as client:
        options = client.get_connection_kwargs()
    assert options["retry"].get_retries() == 0
    assert options["db"] == 3
    assert 0 < options["socket_connect_timeout"] <= options["socket_timeout"] <= 10
    assert options["health_check_interval"] > 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///run/r.sock?db=2", {"path": "/run/r.sock", "db": 2}),
        ("redis+socket:///run/r.sock?virtual_host=2", {"path": "/run/r.sock", "db": 2}),
        ("redis+socket://:p%40ss@/run/r.sock", {"path": "/run/r.sock", "password": "p@ss"}),
        ("redis://me:p%2Fss@h:7000/1", {"host": "h", "port": 7000, "username": "me", "password": "p/ss"}),
        ("rediss://h/1?ssl_cert_reqs=CERT_NONE", {"host": "h", "db": 1, "ssl_cert_reqs": "none"}),
        ("rediss://h?ssl_cert_reqs=required&socket_timeout=1", {"ssl_cert_reqs": "required"}),
        ("redis://h?socket_timeout=1.5", {"socket_timeout": 1.5}),
    ],
)
def test_the_lock_client_reads_every_url_that_celery_reads(url: str, expected: dict[str, Any]) -> None:
    with toolset_lock_client(url) as client:
        options = client.get_connection_kwargs()
    assert {name: options[name] for name in expected} == expected


def test_a_server_that_never_answers_does_not_hold_the_work_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}?socket_timeout=0.05"
        started = time.monotonic()
        with toolset_lock_client(url) as client, capture_logs() as logs, lock_of(client, wait=LONG) as lock:
            assert not lock.held
    assert time.monotonic() - started < LONG / 4
    assert [line["step"] for line in logs] == ["acquire", "release"]


def test_a_heartbeat_beats_until_it_is_closed() -> None:
    beats: list[str] = []
    with Heartbeat(lambda: beats.append(threading.current_thread().name), interval=0.005):
        assert until(lambda: len(beats) >= 3)
    beats_at_close = len(beats)
    time.sleep(0.03)
    assert len(beats) == beats_at_close
    assert set(beats) == {"heartbeat"}


def test_work_that_is_done_before_its_first_beat_has_no_thread() -> None:
    with Heartbeat(lambda: None, interval=LONG):
        pass  # where there was none yet, the thread that starts the others is there from now on
    threads = threading.active_count()
    for _ in range(10):
        with Heartbeat(lambda: None, interval=LONG):
            assert threading.active_count() == threads


def test_a_heartbeat_that_is_due_earlier_than_the_ones_before_beats_in_time() -> None:
    beats: list[str] = []
    with Heartbeat(lambda: beats.append("late"), interval=LONG):
        time.sleep(0.02)  # until the starter waits for that one
        with Heartbeat(lambda: beats.append("early"), interval=0.005):
            assert until(lambda: len(beats) >= 3)
    assert set(beats) == {"early"}


def test_a_forked_process_has_heartbeats_of_its_own() -> None:
    def beat_there() -> None:
        beaten = threading.Event()
        with Heartbeat(beaten.set, interval=0.005):
            os._exit(0 if beaten.wait(LONG) else 1)

    with Heartbeat(lambda: None, interval=LONG):
        child = multiprocessing.get_context("fork").Process(target=beat_there)
        child.start()
        child.join(2 * LONG)
    assert child.exitcode == 0


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
@pytest.mark.parametrize("refused", ["heartbeat", "heartbeats"])
def test_a_thread_that_cannot_be_started_costs_no_later_beat(
    monkeypatch: pytest.MonkeyPatch, error: Exception, refused: str
) -> None:
    monkeypatch.setattr(heartbeat, "_starter", heartbeat._Starter())
    start, tried = threading.Thread.start, threading.Event()

    def start_unless_refused(thread: threading.Thread) -> None:
        if thread.name == refused:
            tried.set()
            raise error
        start(thread)

    monkeypatch.setattr(heartbeat, "RETRY_AFTER", 0.01)
    monkeypatch.setattr(threading.Thread, "start", start_unless_refused)
    with suppress(type(error)), capture_logs(), Heartbeat(lambda: None, interval=0.005):
        assert tried.wait(LONG)
    monkeypatch.setattr(threading.Thread, "start", start)
    beaten = threading.Event()
    with Heartbeat(beaten.set, interval=0.005):
        assert beaten.wait(LONG)


def test_a_beat_that_fails_is_logged_and_the_next_one_comes() -> None:
    failures = iter([ValueError("first"), KeyError("second")])
    recovered = threading.Event()

    def beat() -> None:
        for failure in failures:
            raise failure
        recovered.set()

    with capture_logs() as logs, Heartbeat(beat, interval=0.005):
        assert recovered.wait(LONG)
    assert [(line["event"], line["log_level"]) for line in logs] == [("heartbeat_failed", "error")] * 2


def test_closing_a_heartbeat_does_not_wait_for_its_interval() -> None:
    beats: list[None] = []
    with capture_logs() as logs, Heartbeat(lambda: beats.append(None), interval=LONG) as beating:
        beating.close()
    assert logs == []
    assert beats == []


def test_closing_a_heartbeat_does_not_wait_for_ever_for_a_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "LONGEST_CLOSE", 0.05)
    stuck, let_go = threading.Event(), threading.Event()

    def beat() -> None:
        stuck.set()
        let_go.wait(LONG)

    with capture_logs() as logs:
        with Heartbeat(beat, interval=0.001):
            assert stuck.wait(LONG)
        let_go.set()
    assert logs == [{"event": "heartbeat_still_beating", "log_level": "warning", "waited": 0.05}]


def test_a_beat_logs_in_the_context_of_the_work() -> None:
    contexts: list[dict[str, Any]] = []
    with bound_contextvars(request_id="r-1"), Heartbeat(lambda: contexts.append(log_context()), interval=0.005):
        assert until(lambda: len(contexts) > 0)
    assert contexts[0] == {"request_id": "r-1"}
