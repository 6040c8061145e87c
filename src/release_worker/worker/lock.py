"""The lock of one toolset, in Redis: it keeps workers out of each other's way, and nothing more.

PostgreSQL makes the work right, so this lock may be lost, expired or flushed at any moment. If Redis cannot be
asked, the work goes on without it.

The lock is one key that expires (`SET NX PX`). Its value names the holder; only who knows the token in it
keeps it or gives it back. Giving it back leaves one element on a list that waiters block on, so that one of
them wakes at once (python-redis-lock's idea). A holder that died leaves none, so waiters also wake when its
key lapses.
"""

import json
import math
import re
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel as RedisSentinel

from release_worker.domain.limits import DEFAULTS
from release_worker.domain.server_urls import Sentinel
from release_worker.errors import LockUnavailable

CONNECT_TIMEOUT = 2.0  # seconds
SENTINEL_PORT = 26379
HEALTH_CHECK_INTERVAL = 30  # seconds
SHORTEST_BLOCK = 0.01  # seconds; Redis 6.2 makes 0 of less than a millisecond, and 0 blocks for ever
SIGNAL_EXPIRY = 1000  # milliseconds; bridges the moment between a refusal and blocking on the list

REFUSED, TAKEN, KEPT = 0, 1, 2

# Answers {REFUSED | TAKEN | KEPT, milliseconds until a refusing holder's key lapses}.
# It may run twice: after an answer that was lost on its way, asking again finds one's own token, no refusal.
# A key that never expires was not written here, and nobody would ever give it back: it gets an expiry.
HOLD = """
local lock, token, value, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
if redis.call('SET', lock, value, 'NX', 'PX', ttl) then
    return {1, 0}
end
local holder = redis.call('GET', lock)
if holder and string.find(holder, token, 1, true) then
    redis.call('PEXPIRE', lock, ttl)
    return {2, 0}
end
if redis.call('PTTL', lock) == -1 then
    redis.call('PEXPIRE', lock, ttl)
end
return {0, redis.call('PTTL', lock)}
"""

# Answers whether the lock was still the caller's. The list never has more than one element.
RELEASE = """
local lock, signal, token, signal_expiry = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local holder = redis.call('GET', lock)
if not holder or not string.find(holder, token, 1, true) then
    return 0
end
redis.call('DEL', lock, signal)
redis.call('RPUSH', signal, 1)
redis.call('PEXPIRE', signal, signal_expiry)
return 1
"""

# redis-py has no types for it.
_RedisSentinel: Any = RedisSentinel

logger = structlog.get_logger(__name__)


class RedisToolsetLock:
    """One worker's hold on one toolset.

    Entering waits `wait` seconds at most (0 is one try), then raises `LockUnavailable`, naming the holder.
    Waiters get the lock in no particular order. If Redis cannot be asked, it enters without the lock:
    `held` is false, and a warning says so. Leaving gives back what is still this worker's, and never raises.

    The lock lapses `ttl` seconds after it was taken or last renewed. It starts no thread to renew itself:
    `with RedisToolsetLock(...) as lock, Heartbeat(lock.renew, interval=ttl / 3)`.
    """

    def __init__(self, redis: Redis, toolset_id: UUID, *, owner: str, ttl: float, wait: float) -> None:
        self._redis = redis
        self._toolset_id = toolset_id
        self._owner = owner
        self._ttl = round(ttl * 1000)
        self._wait = wait
        self._token = uuid4().hex
        self._key = lock_key(toolset_id)
        self._signal = f"{self._key}:released"
        self._hold_script = redis.register_script(HOLD)
        self._release_script = redis.register_script(RELEASE)
        self._turn = threading.Lock()  # a renewal that came after the release would take the lock for nobody
        self._entered = False
        self._held = False

    def __enter__(self) -> Self:
        try:
            self._acquire()
        except RedisError as error:
            self._went_unreachable("acquire", error)
        self._entered = True
        return self

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._entered = False
            self._release()

    @property
    def held(self) -> bool:
        """Whether the lock was this worker's when Redis was last asked."""
        return self._held

    def renew(self) -> bool:
        """Hold the lock for another `ttl` seconds; False if another worker has it, or if Redis did not answer.

        A lock that is gone (flushed, lapsed, or never taken because Redis was away) is taken again if it is
        free: the work goes on anyhow, and others had better keep out of its way. Any thread may call this;
        outside of the `with` block it does nothing.
        """
        with self._turn:
            if self._entered:
                self._renew()
            return self._held

    def _acquire(self) -> None:
        deadline = time.monotonic() + self._wait
        while True:
            answer, lapses_in = self._hold()
            if answer != REFUSED:
                self._held = True
                return
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                holder = lock_holder(self._redis, self._toolset_id)
                raise LockUnavailable(toolset_id=str(self._toolset_id), holder=holder and holder.owner)
            self._await_release(min(remaining, lapses_in / 1000))

    def _hold(self) -> tuple[int, int]:
        """Take the lock, or keep it if it is this worker's already."""
        value = {"token": self._token, "owner": self._owner, "since": datetime.now(UTC).isoformat()}
        arguments: list[str | int] = [self._token, json.dumps(value), self._ttl]
        try:
            answer, lapses_in = self._hold_script([self._key], arguments)
        except (RedisConnectionError, RedisTimeoutError):
            # The connection had died while idle, or the answer was lost and perhaps not the command.
            answer, lapses_in = self._hold_script([self._key], arguments)
        return answer, lapses_in

    def _await_release(self, longest: float) -> None:
        """Block until a release, for `longest` seconds at most; a signal left over costs one more try."""
        block = max(SHORTEST_BLOCK, min(longest, _longest_block(self._redis)))
        self._redis.blpop([self._signal], timeout=round(block, 3))

    def _renew(self) -> None:
        was_held = self._held
        try:
            answer, _ = self._hold()
        except RedisError as error:
            self._went_unreachable("renew", error)
            return
        self._held = answer != REFUSED
        if self._held and (answer == TAKEN or not was_held):
            logger.info("toolset_lock_regained", toolset_id=str(self._toolset_id))
        elif was_held and not self._held:
            self._was_lost()

    def _release(self) -> None:
        try:
            released = self._release_script([self._key, self._signal], [self._token, SIGNAL_EXPIRY])
        except RedisError as error:
            self._went_unreachable("release", error)
            return
        if self._held and not released:
            self._was_lost()
        self._held = False

    def _was_lost(self) -> None:
        logger.warning("toolset_lock_lost", toolset_id=str(self._toolset_id))

    def _went_unreachable(self, step: str, error: RedisError) -> None:
        self._held = False
        logger.warning("toolset_lock_unreachable", toolset_id=str(self._toolset_id), step=step, error=str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHolder:
    """Who holds a toolset's lock, since when, and for how many seconds more unless it is renewed."""

    owner: str
    since: datetime
    ttl: float


def lock_key(toolset_id: UUID) -> str:
    """The key of a toolset's lock in Redis."""
    return f"release_worker:lock:toolset:{toolset_id}"


def lock_holder(redis: Redis, toolset_id: UUID) -> LockHolder | None:
    """Who holds the toolset's lock; `None` when nobody does, or its value was not written here.

    Raises redis' own errors.
    """
    with redis.pipeline() as both:
        both.get(lock_key(toolset_id))
        both.pttl(lock_key(toolset_id))
        value, lapses_in = both.execute()
    try:
        fields = json.loads(value or "null")
        since = datetime.fromisoformat(fields["since"])
        return LockHolder(owner=fields["owner"], since=since, ttl=lapses_in / 1000)
    except (ValueError, TypeError, KeyError):
        return None


def toolset_lock_client(url: str, sentinel: Sentinel | None = None) -> Redis:
    """A client for the lock: it sends each command once, and waits for seconds at most.

    redis-py sends a command again by default, and a `SET NX` that is sent again is refused by itself.
    Timeouts in the URL win over these. A `sentinel://` address needs `sentinel`.
    """
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": DEFAULTS.lock_socket_timeout,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "health_check_interval": HEALTH_CHECK_INTERVAL,
    }
    if sentinel is None:
        return Redis.from_url(_in_redis_words(url), **options)
    return _watched_by_sentinel(url, sentinel, options)


def _watched_by_sentinel(url: str, sentinel: Sentinel, options: dict[str, Any]) -> Redis:
    """A client that asks the Sentinels of the address, separated by semicolons, which server is the master. Password
    and database in the first one's address are the master's."""
    read = [Redis.from_url(re.sub("^sentinel", "redis", one)).get_connection_kwargs() for one in url.split(";")]
    places = [(one.get("host", "localhost"), one.get("port", SENTINEL_PORT)) for one in read]
    of_master = {key: value for key, value in read[0].items() if key in ("db", "username", "password")}
    watching = _RedisSentinel(places, sentinel_kwargs=sentinel.connection)
    client: Redis = watching.master_for(sentinel.master, **options, **of_master)
    return client


def _in_redis_words(url: str) -> str:
    """A broker's URL as redis-py reads it: Celery has its own words for sockets and certificates."""
    url = re.sub(r"^redis\+socket://", "unix://", url)
    url = re.sub(r"(?<=[?&])virtual_host=/?", "db=", url)
    return re.sub(r"(?<=[?&]ssl_cert_reqs=)CERT_\w+", lambda reqs: reqs[0][len("CERT_") :].lower(), url)


def _longest_block(redis: Redis) -> float:
    """Seconds: half of the socket timeout, because one that ran out first would look like a dead server.

    Redis ends a block some 0.1 s late (it looks `hz` times a second), so a timeout that short would not do.
    """
    socket_timeout = redis.get_connection_kwargs().get("socket_timeout", DEFAULTS.lock_socket_timeout)
    return math.inf if socket_timeout is None else socket_timeout / 2
