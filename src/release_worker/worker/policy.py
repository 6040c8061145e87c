"""When to try again, how often, and how long to wait. Two layers, both here.

A serialization failure or a deadlock says that another transaction was first: the same work is tried again at once, a
few times. Whatever is still transient then goes back to the queue, and Celery brings it again after a growing delay.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from release_worker.broker.routing import ATTEMPTS
from release_worker.errors import VersionConflict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Times in seconds. A delay doubles with each retry up to `longest_delay`; jitter takes up to half of it away."""

    immediate_tries: int = 5
    immediate_delay: float = 0.005
    attempts: int = ATTEMPTS
    retries: int = 40  # of the Celery task, most of them spent waiting for another worker: some ten minutes
    first_delay: float = 0.2
    longest_delay: float = 20.0

    def delay(self, retries: int) -> float:
        """How long to wait before retry number `retries`, counted from 0."""
        full = min(self.longest_delay, self.first_delay * 2.0 ** min(retries, 30))
        return full * random.uniform(0.5, 1.0)

    def at_once(self, work: Callable[[], T]) -> T:
        """Run `work`, again for each VersionConflict while there are immediate tries left. Raises the last one."""
        for tries in range(1, self.immediate_tries):
            try:
                return work()
            except VersionConflict:
                time.sleep(random.uniform(0, self.immediate_delay * 2**tries))
        return work()


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """How long a worker keeps a toolset. In seconds."""

    lease: float = 15.0  # that a silent worker is believed to be at work
    renew_every: float = 5.0
    lock_wait: float = 2.0  # that a task occupies its slot for, when the toolset is busy
    turn: float = 20.0  # after which a task that still has others before it goes to the back of the queue
