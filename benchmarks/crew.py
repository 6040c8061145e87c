"""Workers of several sizes, and requests that wait for them: releases and rollbacks that all have something to do."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from benchmarks import correctness, growth_world, world
from benchmarks.growth_world import GrownToolset
from benchmarks.product import ACTOR, RECOMPUTED, TURN_SECONDS, Product, running_product
from benchmarks.simulation.trace import Kind
from benchmarks.stage import Stage
from benchmarks.usage import cpu_seconds

Asked = tuple[int, Kind]
LOOKED_AT = 5  # toolsets whose live state is read back after a turn


@dataclass(slots=True)
class Numbers:
    """The newest release of a toolset, and the two, of different content, between which rollbacks go to and fro."""

    newest: int = 1
    base: int = 1
    next_is_base: bool = True

    def edited(self) -> None:
        """Live state was changed: the next release will hold that, and `base` what was before."""
        self.base, self.next_is_base = self.newest, True

    def next_target(self) -> int:
        target = self.base if self.next_is_base else self.base + 1
        self.next_is_base = not self.next_is_base
        return target


@dataclass(frozen=True, slots=True)
class Drain:
    """A backlog that was worked off. `ends`: when each task ended, in seconds from the start, in order."""

    ids: Sequence[str]
    ends: Sequence[float]
    cpu: dict[str, float]  # seconds
    failures: Sequence[str]

    @property
    def rate(self) -> float:
        return len(self.ids) / self.ends[-1]


@dataclass
class Crew:
    """A worker of so many children, and what its toolsets have."""

    product: Product
    children: int
    roots: dict[str, int]
    numbers: dict[int, Numbers] = field(default_factory=dict)
    grown: list[GrownToolset] = field(default_factory=list)

    def edit(self, toolsets: int) -> None:
        """The apps change everything of the first so many toolsets."""
        self.product.epoch += 1
        with self.product.site.engine.begin() as connection:
            world.edit_all(connection, toolsets, self.product.epoch)
        for number in range(1, toolsets + 1):
            self._of(number).edited()

    def edit_grown(self) -> None:
        """The apps change everything of the big toolsets."""
        with self.product.site.engine.begin() as connection:
            for toolset in self.grown:
                growth_world.edit(connection, toolset, toolset.tools)
                self._of(toolset.number).edited()

    def build_grown(self, count: int, tools: int) -> None:
        """So many toolsets of so many tools, each released once."""
        engine = self.product.site.engine
        with engine.begin() as connection:
            self.grown = [
                growth_world.build_toolset(connection, "provided", tools, number=5_000_000 + place)
                for place in range(count)
            ]
        growth_world.tidy(engine)
        ids = [self.product.release(toolset.number) for toolset in self.grown]
        self.product.results.wait(ids, within=TURN_SECONDS)

    def ask(self, asked: Asked) -> str:
        """The id of the request. A rollback restores everything."""
        number, kind = asked
        numbers = self._of(number)
        if kind == "release":
            numbers.newest += 1
            return self.product.release(number)
        return self.product.client.rollback(world.path(number), numbers.next_target(), actor=ACTOR).id

    def drain(self, wanted: Sequence[Asked]) -> Drain:
        """Ask while the worker stands still, then let it go. Asking is not in the clock."""
        before = correctness.number_of_releases(self.product.site.engine)
        with self.standing():
            ids = [self.ask(asked) for asked in wanted]
            used, began = cpu_seconds(self.roots), time.monotonic()
            self.let_go()
            self.product.results.wait(ids, within=TURN_SECONDS)
        cpu = {name: seconds - used[name] for name, seconds in cpu_seconds(self.roots).items()}
        ends = [end - began for one in ids if (end := self.product.results.ended_at(one)) is not None]
        return Drain(ids, sorted(ends), cpu, self.faults(ids, wanted, before))

    def faults(self, ids: Sequence[str], wanted: Sequence[Asked], before: int) -> list[str]:
        """What is not as it must be after these requests; `before`: how many releases there were."""
        engine = self.product.site.engine
        paths = [world.path(number) for number in sorted({number for number, _ in wanted})[:LOOKED_AT]]
        return [
            *self.product.results.failures(ids),
            *correctness.ledger(engine, ids),
            *correctness.numbering(engine, before + sum(kind == "release" for _, kind in wanted)),
            *correctness.digests(engine, RECOMPUTED),
            *correctness.live_state_is_current(engine, paths),
        ]

    @contextmanager
    def standing(self) -> Iterator[None]:
        """The worker and its children do nothing, until they are let go or the block ends."""
        os.killpg(self.product.worker.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self.let_go()

    def let_go(self) -> None:
        """The worker and its children, which have a session of their own, go on."""
        os.killpg(self.product.worker.pid, signal.SIGCONT)

    def _of(self, number: int) -> Numbers:
        return self.numbers.setdefault(number, Numbers())


def mix(toolsets: Sequence[int], each: int) -> list[Asked]:
    """So many requests for each toolset, in turn; every fourth is a rollback."""
    return [(number, "rollback" if turn % 4 == 3 else "release") for turn in range(each) for number in toolsets]


@contextmanager
def running_crews(stage: Stage, sizes: Sequence[int]) -> Iterator[dict[int, Crew]]:
    """Workers of so many children, each on a site of its own, ready; those that have no turn are idle."""
    with ExitStack() as stack:
        crews = {}
        for children in sizes:
            product = stack.enter_context(running_product(stage, f"crew_{children}", children=children))
            crews[children] = Crew(product, children, product.roots)
        for crew in crews.values():
            crew.product.wait_until_ready()
        yield crews
