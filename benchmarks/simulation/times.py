"""How long work takes, as measured. All times are seconds."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Times:
    """`release`, `rollback`: for how long a task of a lone worker of one process occupies it, each measured once;
    `look`: the same of a task whose request is done already;
    `around`: the part of a release's task in which its request is not at work yet, or no longer;
    `lead`: from a request to the beginning of its work while nothing else goes on;
    `speeds`: how fast each of 1, 2, 3, … tasks at work goes, compared with one that is alone. If more are at work than
    there are speeds, all together do as much as the last of these."""

    release: Sequence[float]
    rollback: Sequence[float]
    look: float
    lead: float
    around: float = 0.0
    speeds: Sequence[float] = (1.0,)

    def speed(self, at_work: int) -> float:
        """Of each, if so many tasks are at work."""
        if at_work <= len(self.speeds):
            return self.speeds[at_work - 1]
        return self.speeds[-1] * len(self.speeds) / at_work

    @property
    def before_claim(self) -> float:
        """For which a task occupies its process before it claims a request: half of a task that finds nothing to do."""
        return self.look / 2

    @property
    def travel(self) -> float:
        """From a request to its task, if a process is free."""
        return max(0.0, self.lead - self.before_claim)

    def mean(self, rollbacks: float) -> float:
        """Of all tasks, if rollbacks have this share."""
        return (1 - rollbacks) * statistics.mean(self.release) + rollbacks * statistics.mean(self.rollback)

    def of_crew(self, processes: int) -> "Times":
        """With what surrounds the work of a request as it is beside so many processes: for requests whose work is known
        as it was beside them."""
        speed = self.speed(processes)
        return replace(self, look=self.look / speed, around=self.around / speed, speeds=[1.0] * processes)
