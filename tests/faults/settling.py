"""After the last fault: wait until the work is done, look for what was left over, and put the end to the test."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, exc, text

from release_worker import ReleaseClient
from release_worker.broker.routing import QUEUE_NAMES
from release_worker.embedded import EmbeddedServers
from release_worker.embedded.process import eventually
from release_worker.errors import ReleaseWorkerError
from tests.faults.estate import Place
from tests.faults.journal import Journal
from tests.faults.load import release_numbers
from tests.faults.strikes import held_locks
from tests.support.live_state import live_state
from tests.support.records import captured_state, current_number, recomputed_digests, release_of

SETTLE_SECONDS = 180.0  # a request may have been postponed for 20 s, after a lease of 15 s, more than once
LEFTOVER_SECONDS = 30.0  # a lock that nobody gave back lapses after 15 s; a stopped worker's session ends after 30 s


def settle(servers: EmbeddedServers, engine: Engine, journal: Journal) -> float:
    """Wait until every request has ended and no message waits to become one; returns the seconds that this took."""
    began = time.monotonic()
    eventually(lambda: _is_calm(servers, engine, journal), within=SETTLE_SECONDS)
    return time.monotonic() - began


def _is_calm(servers: EmbeddedServers, engine: Engine, journal: Journal) -> bool:
    time.sleep(0.3)
    unfinished = text("SELECT count(*) FROM release_requests WHERE status IN ('queued', 'running')")
    with suppress(exc.DBAPIError, RedisError):
        with engine.connect() as connection:
            if connection.execute(unfinished).scalar_one():
                return False
            known = set(connection.execute(text("SELECT id FROM release_requests")).scalars())
        messages = _messages(servers)
        sent = {one.request_id for one in journal.submissions if one.fate in ("sent", "unknown") and one.request_id}
        return not any(request_id in messages for request_id in sent - known)
    return False


def _messages(servers: EmbeddedServers) -> str:
    """All that the broker holds, queued and delivered."""
    with Redis.from_url(servers.redis_url) as redis:
        queued = [message for key in redis.keys("*") if _is_queue(key) for message in redis.lrange(key, 0, -1)]
        return " ".join(message.decode() for message in [*queued, *redis.hvals("unacked")])


def _is_queue(key: bytes) -> bool:
    """A queue's list, or the one of a lower priority beside it."""
    return key.decode().partition("\x06")[0] in QUEUE_NAMES


def leftovers(servers: EmbeddedServers, engine: Engine, *, within: float = LEFTOVER_SECONDS) -> list[str]:
    """Locks and open transactions that nobody needs any more, after the time that they may take to lapse."""
    found: list[str] = []

    def none_left() -> bool:
        found[:] = [*_locks(servers), *_sessions(engine)]
        return not found

    eventually(none_left, within=within)
    return found


def _locks(servers: EmbeddedServers) -> Iterator[str]:
    with Redis.from_url(servers.redis_url) as redis:
        for key in held_locks(redis):
            yield f"lock {key} with {redis.pttl(key)} ms to live"


def _sessions(engine: Engine) -> Iterator[str]:
    query = """
        SELECT pid, application_name, state, query FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'
          AND state_change < now() - interval '1 s'
    """
    with engine.connect() as connection:
        for row in connection.execute(text(query)):
            yield f"session {row.pid} of {row.application_name} is {row.state} after {row.query[:80]!r}"


def final_rollbacks(client: ReleaseClient, engine: Engine, places: Sequence[Place], journal: Journal) -> Iterator[str]:
    """Roll each toolset back to a release of its middle ages, then read live state with other eyes: yields what is not
    as the current release says. Nothing else runs any more."""
    for place in places:
        numbers = release_numbers(engine, place)
        for number in (numbers[len(numbers) // 2], numbers[0]):
            yield from _checked(place, f"rollback to {number}", partial(_roll_back, client, place, number, journal))
            yield from differences(engine, place)
        yield from _checked(place, "drift", partial(_drift, client, place))


def _roll_back(client: ReleaseClient, place: Place, number: int, journal: Journal) -> str | None:
    called = time.monotonic()
    handle = client.rollback(place.path, number, actor="faults, at the end", allow_shared_impact=True, allow_bad=True)
    journal.note_accepted(place.id, handle.id, called)
    handle.result(timeout=60)
    journal.seen_succeeded.setdefault(handle.id, time.monotonic())
    return None


def _drift(client: ReleaseClient, place: Place) -> str | None:
    drift = client.check_drift(place.path).result(timeout=60)
    return f"drifted: {drift.changes}" if drift.drifted else None


def _checked(place: Place, step: str, act: Callable[[], str | None]) -> Iterator[str]:
    try:
        problem = act()
    except ReleaseWorkerError as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        yield f"{place.path}, {step}: {problem}"


def differences(engine: Engine, place: Place) -> Iterator[str]:
    """Between live state and the current release, read by `tests.support` alone."""
    toolset = place.toolset
    number = current_number(engine, toolset)
    if number is None:
        yield f"{place.path} has no current release"
        return
    live, captured = live_state(engine, toolset), captured_state(engine, toolset, number)
    for component, content in live.items():
        if captured[component] != content:
            yield f"{place.path}: live {component} is not what release {number} holds"
    if recomputed_digests(engine, toolset, number)["release"] != release_of(engine, toolset, number).digest:
        yield f"{place.path}: release {number} has not its digest"
