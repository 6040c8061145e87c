"""What was measured: a value for each round, and everything that was not as it must be."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Measurement:
    """One figure in all rounds."""

    name: str
    unit: str
    rounds: list[float] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """False where it was given up."""
        return math.inf not in self.rounds

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def lowest(self) -> float:
        return min(self.rounds)

    @property
    def highest(self) -> float:
        return max(self.rounds)


class Measurements:
    """Everything of one run, in the order in which it was first measured."""

    def __init__(self) -> None:
        self._by_name: dict[str, Measurement] = {}
        self.failures: list[str] = []

    def add(self, name: str, unit: str, value: float) -> None:
        """One round's value."""
        self._by_name.setdefault(name, Measurement(name, unit)).rounds.append(value)

    def give_up(self, name: str, unit: str) -> None:
        """Say that this would take too long to measure."""
        self._by_name[name] = Measurement(name, unit, [math.inf])

    def fail(self, where: str, failures: Sequence[str]) -> None:
        """What went wrong, for the exit status and the report."""
        self.failures += [f"{where}: {failure}" for failure in failures]

    def __iter__(self) -> Iterator[Measurement]:
        return iter(self._by_name.values())

    def median(self, name: str) -> float | None:
        """None where it was not measured in this run."""
        found = self._by_name.get(name)
        return found.median if found else None

    def latest(self, name: str) -> float:
        """The value of the round that is under way, or of the last."""
        return self._by_name[name].rounds[-1]

    def best(self, prefix: str) -> float | None:
        """The highest median among those whose name starts so."""
        return max((one.median for one in self._by_name.values() if one.name.startswith(prefix)), default=None)

    def as_json(self) -> Mapping[str, object]:
        return {
            one.name: {
                "unit": one.unit,
                "median": one.median if one.measured else None,
                "min": one.lowest if one.measured else None,
                "max": one.highest if one.measured else None,
                "rounds": one.rounds if one.measured else [],
            }
            for one in self._by_name.values()
        }


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: an observed value, never one in between."""
    ranked = sorted(values)
    rank = -(-len(ranked) * percent // 100)
    return ranked[max(0, int(rank) - 1)]
