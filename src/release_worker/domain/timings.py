"""What is measured of one attempt at a request: seconds, by a clock that never goes back."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

# Until the toolset's lock was there; since then, or since the request before in the same turn; since the claim. The
# last two go on until the end of the attempt is written down.
LOCK_WAIT, LOCK_HOLD, ATTEMPT = "lock_wait", "lock_hold", "attempt"
# What operations do in an attempt, in their order: wait for rows that others hold; decide; keep or release live state
# (a capture); restore; compare live state with what was to be restored; capture the outcome of a rollback.
STEPS: Sequence[str] = ("hold", "plan", "capture", "restore", "read_back", "settle")


class Timings:
    """Adds up the seconds of each step. A step that is taken again, after a conflict, counts again.

    `step_now` is the step that is being taken, for who looks from another thread. `around` is entered for each step.
    """

    def __init__(self) -> None:
        self.step_now: str | None = None
        self.around: Callable[[str], AbstractContextManager[object]] = lambda _: nullcontext()
        self._seconds: dict[str, float] = {}
        self._since: dict[str, float] = {ATTEMPT: time.monotonic()}

    def add(self, name: str, seconds: float) -> None:
        """So much more of it."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def goes_on_since(self, name: str, since: float) -> None:
        """It began at `since`, in the time of `time.monotonic`, and has not ended yet."""
        self._since[name] = since

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done inside, also if it ends with an error."""
        began = time.monotonic()
        self.step_now = name
        try:
            with self.around(name):
                yield
        finally:
            self.step_now = None
            self.add(name, time.monotonic() - began)

    def so_far(self) -> Mapping[str, float]:
        """Seconds by name, to the microsecond; what goes on is counted until now."""
        now = time.monotonic()
        going_on = {name: now - since for name, since in self._since.items()}
        return {name: round(seconds, 6) for name, seconds in (self._seconds | going_on).items()}
