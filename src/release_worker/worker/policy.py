"""When to try again, how often, and how long to wait, with the numbers of `domain.limits`. Two layers, both here.

A serialization failure or a deadlock says that another transaction was first: the same work is tried again at once, a
few times. Whatever is still transient then goes back to the queue, and Celery brings it again after a growing delay.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Self, TypeVar

from release_worker.domain.limits import DEFAULTS, Limits
from release_worker.errors import VersionConflict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The limits of these names. A delay doubles with each retry up to `longest_delay`; jitter takes up to half of it
    away."""

    immediate_tries: int = DEFAULTS.immediate_tries
    immediate_delay: float = DEFAULTS.immediate_delay
    attempts: int = DEFAULTS.attempts
    retries: int = DEFAULTS.retries
    first_delay: float = DEFAULTS.first_delay
    longest_delay: float = DEFAULTS.longest_delay

    @classmethod
    def within(cls, limits: Limits) -> Self:
        """The policy of a deployment."""
        return cls(**{field.name: getattr(limits, field.name) for field in fields(cls)})

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
    """How long a worker keeps a toolset: the limits of these names."""

    lease: float = DEFAULTS.lease
    renew_every: float = DEFAULTS.renew_every
    lock_wait: float = DEFAULTS.lock_wait
    turn: float = DEFAULTS.turn
    progress_interval: float = DEFAULTS.progress_interval

    @classmethod
    def within(cls, limits: Limits) -> Self:
        """The policy of a deployment."""
        return cls(**{field.name: getattr(limits, field.name) for field in fields(cls)})
