"""The computers together: what is at work at the same moment shares them."""

import simpy

from benchmarks.simulation.times import Times

_NOTHING_LEFT = 1e-9  # seconds


class Machine:
    """Each piece of work goes as fast as the number of pieces at work allows."""

    def __init__(self, env: simpy.Environment, times: Times) -> None:
        self._env = env
        self._times = times
        self._left: dict[simpy.Event, float] = {}
        self._settled_at = env.now
        self._look_number = 0

    def work(self, seconds: float) -> simpy.Event:
        """Happens when work is done that takes so many seconds alone."""
        self._settle()
        done = self._env.event()
        self._left[done] = seconds
        self._look_again()
        return done

    def _settle(self) -> None:
        """Take from all what was done since the last time."""
        passed = self._env.now - self._settled_at
        self._settled_at = self._env.now
        if self._left:
            progress = passed * self._times.speed(len(self._left))
            self._left = {done: left - progress for done, left in self._left.items()}

    def _look_again(self) -> None:
        """When the next piece will be done, if no other comes before."""
        self._look_number += 1
        if self._left:
            number = self._look_number
            soonest = max(0.0, min(self._left.values())) / self._times.speed(len(self._left))
            self._env.timeout(soonest).callbacks.append(lambda _: self._look(number))

    def _look(self, number: int) -> None:
        if number != self._look_number:
            return
        self._settle()
        for done in [done for done, left in self._left.items() if left <= _NOTHING_LEFT]:
            del self._left[done]
            done.succeed()
        self._look_again()
