"""That all have ended, for turns of which Celery stores no results: a look now and then, beside the work."""

import time
from collections.abc import Callable

from redis import Redis
from sqlalchemy import Engine, text

_PAUSE = 0.005  # seconds between looks; a turn takes some hundred times as long
_LOOKS = 2  # a message that is being handed over is nowhere for a moment

_UNFINISHED = "SELECT count(*) FROM release_requests WHERE status IN ('queued', 'running')"
# Where kombu keeps messages: a list for each queue and priority, and a hash of what a worker has and has not done.
_STEPS = ("", *(f"\x06\x16{priority}" for priority in (3, 6, 9)))
_WAITING = [f"{queue}{step}" for queue in ("releases", "rollbacks") for step in _STEPS]
_UNACKNOWLEDGED = "unacked"


def wait_for_queues(redis_url: str, *, within: float) -> bool:
    """Whether every message was done, and acknowledged, within so many seconds."""
    with Redis.from_url(redis_url) as redis:
        return _wait(lambda: _messages(redis) == 0, looks=_LOOKS, within=within)


def wait_for_ledger(engine: Engine, *, within: float) -> bool:
    """Whether every request that is in the ledger ended within so many seconds, well or not."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        return _wait(lambda: connection.execute(text(_UNFINISHED)).scalar_one() == 0, looks=1, within=within)


def _messages(redis: Redis) -> int:
    with redis.pipeline(transaction=True) as together:
        for queue in _WAITING:
            together.llen(queue)
        together.hlen(_UNACKNOWLEDGED)
        return sum(together.execute())


def _wait(over: Callable[[], bool], *, looks: int, within: float) -> bool:
    deadline = time.monotonic() + within
    seen = 0
    while time.monotonic() < deadline:
        seen = seen + 1 if over() else 0
        if seen == looks:
            return True
        time.sleep(_PAUSE)
    return False
