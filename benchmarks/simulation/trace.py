"""What is asked of a simulated deployment: which toolset, what, and when."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Kind = Literal["release", "rollback"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, `at` so many seconds after the beginning. Toolsets are numbers. `work`: for how long it will be at
    work once it is claimed, if that is known. `bulk`: it is one of a release of all toolsets, which goes behind others.
    """

    at: float
    toolset: int
    kind: Kind
    work: float | None = None
    bulk: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """Requests that arrive at random moments, so many a second on average, for so many seconds. The toolset of rank r
    is asked for in proportion to 1 / r ** skew (Zipf's law); `rollbacks` is the share of these."""

    toolsets: int
    per_second: float
    seconds: float
    skew: float = 1.0
    rollbacks: float = 0.1

    def requests(self, seed: int) -> list[Asked]:
        """The same ones for the same seed, in the order of time."""
        return list(self._requests(random.Random(seed)))

    def _requests(self, draw: random.Random) -> Iterator[Asked]:
        weights = list(accumulate(rank**-self.skew for rank in range(1, self.toolsets + 1)))
        ranks = range(1, self.toolsets + 1)
        at = draw.expovariate(self.per_second)
        while at < self.seconds:
            [toolset] = draw.choices(ranks, cum_weights=weights)
            kind: Kind = "rollback" if draw.random() < self.rollbacks else "release"
            yield Asked(at, toolset, kind)
            at += draw.expovariate(self.per_second)


def burst(at: float, toolsets: Sequence[int], kind: Kind = "release", *, bulk: bool = False) -> list[Asked]:
    """A request for each of these toolsets, all of them in one moment."""
    return [Asked(at, toolset, kind, bulk=bulk) for toolset in toolsets]


def together(*parts: Sequence[Asked]) -> list[Asked]:
    """All of them, in the order of time; of the same moment, in the order of the parts."""
    return sorted((asked for part in parts for asked in part), key=lambda asked: asked.at)
