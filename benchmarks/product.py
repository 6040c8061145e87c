"""The product as a contender: `ReleaseClient` with a database asks, a worker of two children answers.

Where the rate counts, the client names no result backend, and Celery stores no result; where the moment of each end
does, `client` names one, which announces it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from celery import Celery

from benchmarks import correctness, world
from benchmarks.ends import wait_for_ledger, wait_for_queues
from benchmarks.processes import CHILDREN, celery_worker, wait_for_celery
from benchmarks.results import ResultListener
from benchmarks.stage import Site, Stage
from benchmarks.usage import cpu_seconds
from release_worker import ReleaseClient
from release_worker.embedded.python_process import PythonProcess

T = TypeVar("T")

TURN_SECONDS = 120.0
BATCH = 100
RECOMPUTED = 20  # digests a turn
ACTOR = "benchmark"


@dataclass(frozen=True, slots=True)
class Turn:
    """One measured stretch: how long it took, how much was done, and what was wrong with it."""

    seconds: float
    done: int
    failures: Sequence[str] = ()
    asking: float = 0.0  # seconds of these until the last request was sent
    cpu: Mapping[str, float] = field(default_factory=dict)  # seconds of all processors' time, by process

    @property
    def rate(self) -> float:
        return self.done / self.seconds


@dataclass
class Product:
    """A running worker and a client."""

    site: Site
    client: ReleaseClient
    unheard: ReleaseClient
    results: ResultListener
    worker: PythonProcess
    toolsets: int
    roots: dict[str, int]
    plain: Celery
    epoch: int = 0
    newest: int = 1  # release number of all toolsets but the hot and the cold ones

    def wait_until_ready(self) -> None:
        """Until the worker waits for work."""
        wait_for_celery(self.worker, self.site)

    def edit_all(self) -> None:
        """The apps change everything, so that the next releases have everything to write. Never timed."""
        self.epoch += 1
        with self.site.engine.begin() as connection:
            world.edit_all(connection, self.toolsets, self.epoch)

    def release(self, number: int) -> str:
        """Ask for a release; the id of the request."""
        return self.client.create_release(world.path(number), actor=ACTOR).id

    def changed_releases(self) -> Turn:
        """One release of each toolset, all of them changed since the last."""
        self.edit_all()
        return self.release_each()

    def release_each(self) -> Turn:
        """One release of each toolset."""
        self.newest += 1
        return self._releases(range(1, self.toolsets + 1))

    def hot_releases(self, requests: int) -> Turn:
        """So many releases of one toolset."""
        return self._releases([world.hot(self.toolsets)] * requests)

    def plain_releases(self) -> Turn:
        """One release of each toolset, asked for by an app that knows nothing of us."""
        self.newest += 1
        return self._releases(range(1, self.toolsets + 1), self._send)

    def batched_releases(self) -> Turn:
        """One release of each toolset, asked for by many at once."""
        self.newest += 1
        return self._timed(
            [range(first, min(first + BATCH, self.toolsets + 1)) for first in range(1, self.toolsets + 1, BATCH)],
            lambda numbers: [
                handle.id for handle in self.unheard.create_releases(map(world.path, numbers), actor=ACTOR)
            ],
            releases=True,
        )

    def _ask(self, number: int) -> str:
        return self.unheard.create_release(world.path(number), actor=ACTOR).id

    def _send(self, number: int) -> str:
        arguments = {"toolset": world.path(number), "actor": ACTOR}
        name, queue = "release_worker.create_release", "releases"
        return str(self.plain.send_task(name, kwargs=arguments, queue=queue, ignore_result=True).id)

    def rollbacks(self) -> Turn:
        """Roll each toolset back to what it was before the apps' last edit."""
        target = self.newest - 2
        turn = self._timed(
            range(1, self.toolsets + 1),
            lambda number: [self.unheard.rollback(world.path(number), target, actor=ACTOR).id],
            releases=False,
        )
        paths = [world.path(number) for number in range(1, 1 + min(self.toolsets, RECOMPUTED))]
        failures = [
            *turn.failures,
            *correctness.current_numbers(self.site.engine, target, self.toolsets),
            *correctness.live_state_is_current(self.site.engine, paths),
        ]
        return replace(turn, failures=failures)

    def settle(self, ids: Sequence[str], before: int) -> list[str]:
        """Wait for the results of these releases, and say what is not as it must be afterwards."""
        self.results.wait(ids, within=TURN_SECONDS)
        return [*self.results.failures(ids), *self._wrong(ids, before, releases=True)]

    def _wrong(self, ids: Sequence[str], before: int, *, releases: bool) -> list[str]:
        expected = before + len(ids) * releases
        return [
            *correctness.ledger(self.site.engine, ids),
            *(correctness.one_release_a_request(self.site.engine, ids) if releases else ()),
            *correctness.numbering(self.site.engine, expected),
            *correctness.digests(self.site.engine, RECOMPUTED),
        ]

    def _releases(self, numbers: Sequence[int], ask: Callable[[int], str] | None = None) -> Turn:
        ask_one = ask or self._ask
        return self._timed(numbers, lambda number: [ask_one(number)], releases=True)

    def _timed(self, wanted: Iterable[T], ask: Callable[[T], list[str]], *, releases: bool) -> Turn:
        before = correctness.number_of_releases(self.site.engine)
        used, own, began = cpu_seconds(self.roots), time.process_time(), time.monotonic()
        ids = [one for each in wanted for one in ask(each)]
        asking, own = time.monotonic() - began, time.process_time() - own
        wait_for_queues(self.site.redis_url, within=TURN_SECONDS)
        wait_for_ledger(self.site.engine, within=TURN_SECONDS)
        seconds = time.monotonic() - began
        cpu = {name: now - used[name] for name, now in cpu_seconds(self.roots).items()}
        faults = self._wrong(ids, before, releases=releases)
        return Turn(seconds, correctness.succeeded(self.site.engine, ids), faults, asking, {"asking": own, **cpu})


@contextmanager
def running_product(stage: Stage, name: str = "product", *, children: int = CHILDREN) -> Iterator[Product]:
    """A worker of so many children on a site of its own, started."""
    site = stage.site(name)
    with ExitStack() as stack:
        worker = stack.enter_context(celery_worker(name, "release_worker", site, children=children))
        client, unheard = (
            stack.enter_context(
                ReleaseClient(broker_url=site.broker_url, database_url=site.database_url, result_backend=backend)
            )
            for backend in (site.broker_url, None)
        )
        results = stack.enter_context(ResultListener(site.redis_url))
        plain = stack.enter_context(Celery(broker=site.broker_url))
        roots = {
            "worker": worker.pid,
            "PostgreSQL": stage.servers.postgres.pid,
            "Valkey": stage.servers.valkey.pid,
        }
        yield Product(site, client, unheard, results, worker, stage.toolsets, roots, plain)
