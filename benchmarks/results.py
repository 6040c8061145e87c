"""When each Celery task ended, as its result backend announces it: what a caller who waits would see."""

import json
import threading
import time
from collections.abc import Collection, Sequence
from typing import Self

from redis import Redis

CHANNEL = "celery-task-meta-"  # of a result, and its key
_PAUSE = 0.002  # seconds between looks; what is timed is when the result came in


class ResultListener:
    """Listens to the results of all tasks, on a thread of its own. Times are `time.monotonic()`."""

    def __init__(self, redis_url: str) -> None:
        self._redis = Redis.from_url(redis_url)
        self._ended: dict[str, float] = {}
        self._failed: dict[str, str] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._listen, name="results", daemon=True)

    def __enter__(self) -> Self:
        self._subscription = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._subscription.psubscribe(f"{CHANNEL}*")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._thread.join()
        self._subscription.close()
        self._redis.close()

    def wait(self, ids: Sequence[str], *, within: float) -> bool:
        """Whether all of them ended within so many seconds, well or not."""
        deadline = time.monotonic() + within
        pending = list(ids)
        while pending:
            if pending[-1] in self._ended:
                pending.pop()
            elif time.monotonic() > deadline:
                return False
            else:
                time.sleep(_PAUSE)
        return True

    def ended_at(self, task_id: str) -> float | None:
        return self._ended.get(task_id)

    def unfinished(self, ids: Collection[str]) -> int:
        return sum(one not in self._ended for one in ids)

    def succeeded(self, ids: Collection[str]) -> int:
        return sum(one in self._ended and one not in self._failed for one in ids)

    def failures(self, ids: Collection[str]) -> list[str]:
        """Why those that failed did, and how many did not end at all."""
        failed = [self._failed[one] for one in ids if one in self._failed]
        missing = self.unfinished(ids)
        return failed + ([f"{missing} of {len(ids)} did not end"] if missing else [])

    def _listen(self) -> None:
        while not self._closing:
            message = self._subscription.get_message(timeout=0.2)
            if message is not None:
                self._note(message["channel"].decode().removeprefix(CHANNEL), message["data"])

    def _note(self, task_id: str, body: bytes) -> None:
        now = time.monotonic()
        if b'"status": "FAILURE"' in body:
            error = json.loads(body)["result"]
            self._failed[task_id] = f"{error['exc_type']}: {error['exc_message']}"[:300]
        elif b'"status": "SUCCESS"' not in body:
            return  # it has started, or will be tried again
        self._ended[task_id] = now
