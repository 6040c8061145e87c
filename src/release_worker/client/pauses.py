"""How long a client waits between looks, and until it gives up waiting for the next of several requests."""

import time
from collections.abc import Collection, Iterator, Sequence

from release_worker.errors import ResultTimeout

FIRST, LONGEST = 0.02, 0.25  # seconds


def pauses() -> Iterator[float]:
    """Seconds to wait before each next look: short ones first."""
    pause = FIRST
    while True:
        yield pause
        pause = min(pause * 1.3, LONGEST)


class Turns:
    """The requests that are still waited for, and the patience for the next of them to end."""

    def __init__(self, request_ids: Sequence[str], timeout: float | None) -> None:
        """`timeout`: seconds without any end; None: patience for ever."""
        self._waiting = dict.fromkeys(request_ids)
        self._all, self._timeout = len(self._waiting), timeout
        self._begin()

    @property
    def waiting(self) -> list[str]:
        """The ids of those that have not ended."""
        return list(self._waiting)

    def pause_after(self, ended: Collection[str]) -> float:
        """Seconds to wait before the next look, now that these have ended. Raises ResultTimeout."""
        for request_id in ended:
            del self._waiting[request_id]
        if ended:
            self._begin()
            return 0.0
        if self._timeout is not None and time.monotonic() >= self._since + self._timeout:
            left = self.waiting
            message = f"{len(left)} of {self._all} requests have not finished, and none did for {self._timeout} s"
            raise ResultTimeout(message, request_id=left[0], timeout=self._timeout, status="queued or running")
        return next(self._pauses)

    def _begin(self) -> None:
        self._since, self._pauses = time.monotonic(), pauses()
