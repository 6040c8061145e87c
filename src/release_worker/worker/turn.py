"""A task's time with a toolset, and how the requests that it works share it."""

import time

from release_worker.domain.request_record import Claim
from release_worker.domain.timings import LOCK_HOLD, LOCK_WAIT


class Turn:
    """At most `longest` seconds; then others have their turn."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._asked_at = self._held_since = self._ends = time.monotonic()
        self._waited: float | None = None

    @property
    def is_over(self) -> bool:
        """Others shall have their turn."""
        return time.monotonic() > self._ends

    def has_lock(self) -> None:
        """The lock is there: the turn begins."""
        self._held_since = time.monotonic()
        self._waited = self._held_since - self._asked_at
        self._ends = self._held_since + self._longest

    @property
    def waited(self) -> float:
        """Seconds for which the lock was waited for."""
        return self._held_since - self._asked_at

    def measures(self, claim: Claim) -> None:
        """An attempt begins. The first one had to wait for the lock; each keeps it from the end of the one before."""
        if self._waited is not None:
            claim.timings.add(LOCK_WAIT, self._waited)
            self._waited = None
        claim.timings.goes_on_since(LOCK_HOLD, self._held_since)

    def goes_on(self) -> None:
        """An attempt has ended; the lock stays."""
        self._held_since = time.monotonic()
