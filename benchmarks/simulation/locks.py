"""The toolsets' locks."""

from collections import defaultdict, deque
from collections.abc import Generator

import simpy


class Locks:
    """One holder a toolset. Who waits gets it in the order of waiting, or gives up."""

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._held: set[int] = set()
        self._waiters: dict[int, deque[simpy.Event]] = defaultdict(deque)

    def acquire(self, toolset: int, wait: float) -> Generator[simpy.Event, object, bool]:
        """Whether the lock was got within so many seconds; 0 is one try."""
        if toolset not in self._held:
            self._held.add(toolset)
            return True
        if not wait:
            return False
        handed_on = self._env.event()
        self._waiters[toolset].append(handed_on)
        yield handed_on | self._env.timeout(wait)
        if handed_on.triggered:
            return True
        self._waiters[toolset].remove(handed_on)
        return False

    def release(self, toolset: int) -> None:
        """Give it to whoever has waited longest."""
        if self._waiters[toolset]:
            self._waiters[toolset].popleft().succeed()
        else:
            self._held.remove(toolset)
