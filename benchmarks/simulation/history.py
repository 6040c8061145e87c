"""What happened in a simulation: how long requests waited, and whether anything happened that must not."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.measurements import percentile
from benchmarks.simulation.queues import Taken
from benchmarks.simulation.trace import Asked, Kind


@dataclass(slots=True)
class Course:
    """What became of one request. `number` is its place in the ledger; times are simulated seconds."""

    number: int
    asked: Asked
    started: float | None = None
    finished: float | None = None
    times_done: int = 0

    @property
    def done(self) -> bool:
        return self.finished is not None

    @property
    def waited(self) -> float:
        """From being asked to the beginning of its work. Only of a request that was begun."""
        assert self.started is not None
        return self.started - self.asked.at


@dataclass
class History:
    """All requests in the order of the ledger, and each message that was taken from a queue."""

    courses: list[Course]
    taken: Sequence[Taken] = ()
    abandoned: list[int] = field(default_factory=list)

    def waits(self, kind: Kind, among: Callable[[Asked], bool] = lambda _: True) -> list[float]:
        """Of the requests of this kind; only of some of them, if it is said of which."""
        return [
            course.waited
            for course in self.courses
            if course.asked.kind == kind and course.started is not None and among(course.asked)
        ]

    def faults(self) -> list[str]:
        """What must not be, in words; none if the simulation did what the product guarantees."""
        return [*self._not_once(), *self._overlaps(), *self._disorder(), *self._overtaken_rollbacks()]

    def _not_once(self) -> Iterator[str]:
        """Each request is done once, or was given up."""
        for course in self.courses:
            expected = 0 if course.number in self.abandoned else 1
            if course.times_done != expected or course.done != bool(expected):
                yield f"request {course.number} was done {course.times_done} times"

    def _by_toolset(self) -> Iterator[list[Course]]:
        found: dict[int, list[Course]] = defaultdict(list)
        for course in self.courses:
            if course.started is not None:
                found[course.asked.toolset].append(course)
        yield from found.values()

    def _overlaps(self) -> Iterator[str]:
        """No toolset has two at work."""
        for courses in self._by_toolset():
            in_time = sorted(courses, key=lambda course: (course.started or 0.0, course.number))
            for one, following in pairwise(in_time):
                if one.finished is None or following.started is None or following.started < one.finished:
                    yield f"requests {one.number} and {following.number} were at work together"

    def _disorder(self) -> Iterator[str]:
        """The requests of a toolset are begun in the order of the ledger."""
        for courses in self._by_toolset():
            for one, following in pairwise(courses):
                if (following.started or 0.0) < (one.started or 0.0):
                    yield f"request {following.number} was begun before request {one.number}"

    def _overtaken_rollbacks(self) -> Iterator[str]:
        """A rollback's message is taken before any other that waits."""
        for taken in self.taken:
            if taken.message.queue != "rollbacks" and taken.rollbacks_waiting:
                yield f"a message of {taken.message.queue} was taken while {taken.rollbacks_waiting} rollbacks waited"


def quantiles(waits: Sequence[float]) -> tuple[float, float, float]:
    """The median, p95 and p99."""
    median, p95, p99 = (percentile(waits, percent) for percent in (50, 95, 99))
    return median, p95, p99
