"""An edit that finds what it needs held by others is tried again for a while."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from release_worker.domain.limits import DEFAULTS
from release_worker.errors import VersionConflict

T = TypeVar("T")

TRIES = 11  # with twice the pause each time: some eight seconds in all


def patiently(edit: Callable[[], T]) -> T:
    """Do an edit, a whole transaction, and again for each VersionConflict while there are tries left. Raises the last
    one."""
    for tries in range(1, TRIES):
        try:
            return edit()
        except VersionConflict:
            time.sleep(random.uniform(0.5, 1) * DEFAULTS.immediate_delay * 2**tries)
    return edit()
