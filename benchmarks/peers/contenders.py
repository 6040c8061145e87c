"""The peers, running: each asks in its own way, and is done when the releases are committed."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar, Self

import dramatiq
import procrastinate
from celery import Celery
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from benchmarks import correctness, world
from benchmarks.peers.capture import digest, session_factory, version_content
from benchmarks.peers.models import Release
from benchmarks.processes import CHILDREN, celery_worker, wait_for_celery, worker_process
from benchmarks.product import RECOMPUTED, TURN_SECONDS, Turn
from benchmarks.stage import Stage

LOOK_EVERY = 0.01  # seconds


class Peer(ABC):
    """A worker of two processes with one task at a time each, and a way to ask."""

    name: ClassVar[str]

    def __init__(self, stage: Stage) -> None:
        self.site = stage.site(f"peer_{self.name}")
        self.toolsets = stage.toolsets
        self.epoch = 0
        self._stack = ExitStack()
        self._sessions = session_factory(self.site.database_url)
        with self.site.engine.connect() as connection:
            rows = connection.execute(text("SELECT slug::int, id FROM toolsets"))
            self._ids = {number: str(toolset_id) for number, toolset_id in rows}

    def __enter__(self) -> Self:
        self._start(self._stack)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @abstractmethod
    def _start(self, stack: ExitStack) -> None:
        """Start the worker, and make ready to ask."""

    @abstractmethod
    def wait_until_ready(self) -> None:
        """Until the worker waits for work."""

    @abstractmethod
    def _ask(self, toolset_id: str) -> None: ...

    def changed_releases(self, requests: int) -> Turn:
        """One release of each of so many toolsets, all of them changed since the last; others in the next turn."""
        self.epoch += 1
        with self.site.engine.begin() as connection:
            world.edit_all(connection, self.toolsets, self.epoch)
        first = (self.epoch - 1) * requests
        return self._turn([1 + (first + place) % self.toolsets for place in range(requests)])

    def hot_releases(self, requests: int) -> Turn:
        """So many releases of one toolset."""
        return self._turn([world.hot(self.toolsets)] * requests)

    def _turn(self, numbers: Sequence[int]) -> Turn:
        before = correctness.number_of_releases(self.site.engine)
        began = time.monotonic()
        for number in numbers:
            self._ask(self._ids[number])
        asking = time.monotonic() - began
        done = 0
        while done < len(numbers) and time.monotonic() - began < TURN_SECONDS:
            time.sleep(LOOK_EVERY)
            done = correctness.number_of_releases(self.site.engine) - before
        seconds = time.monotonic() - began
        faults = correctness.numbering(self.site.engine, before + len(numbers))
        return Turn(seconds, done, [*faults, *_digest_faults(self._sessions, self.name)], asking)


class CeleryPeer(Peer):
    name = "celery"

    def _start(self, stack: ExitStack) -> None:
        self._worker = stack.enter_context(celery_worker("peer_celery", "benchmarks.peers.celery_peer", self.site))
        self._app = stack.enter_context(Celery("asks", broker=self.site.broker_url, backend=self.site.broker_url))

    def wait_until_ready(self) -> None:
        wait_for_celery(self._worker, self.site)

    def _ask(self, toolset_id: str) -> None:
        self._app.send_task("peer.create_release", args=[toolset_id])


class DramatiqPeer(Peer):
    name = "dramatiq"

    def _start(self, stack: ExitStack) -> None:
        options = ["--processes", str(CHILDREN), "--threads", "1"]
        worker = worker_process("peer_dramatiq", ["dramatiq", "benchmarks.peers.dramatiq_peer", *options], self.site)
        self._worker = stack.enter_context(worker)
        self._broker = RedisBroker(url=self.site.redis_url)
        stack.callback(self._broker.close)

    def wait_until_ready(self) -> None:
        self._worker.wait_until(lambda: self._worker.said().count("Worker process is ready for action") >= CHILDREN)

    def _ask(self, toolset_id: str) -> None:
        message: dramatiq.Message[Any] = dramatiq.Message("default", "create_release", (toolset_id,), {}, {})
        self._broker.enqueue(message)


class ProcrastinatePeer(Peer):
    name = "procrastinate"

    def _start(self, stack: ExitStack) -> None:
        address = self.site.database_url.replace("postgresql+psycopg://", "postgresql://")
        connector = procrastinate.SyncPsycopgConnector(conninfo=address)
        app = stack.enter_context(procrastinate.App(connector=connector).open())
        app.schema_manager.apply_schema()
        self._app = app
        module = "benchmarks.peers.procrastinate_peer.app"
        for number in range(CHILDREN):
            command = ["procrastinate", "--app", module, "--log-level", "warning", "worker", "--concurrency", "1"]
            worker = worker_process(f"peer_procrastinate_{number}", command, self.site)
            self._worker = stack.enter_context(worker)

    def wait_until_ready(self) -> None:
        self._worker.wait_until(self._all_registered)

    def _all_registered(self) -> bool:
        with self.site.engine.connect() as connection:
            return bool(connection.execute(text("SELECT count(*) FROM procrastinate_workers")).scalar_one() == CHILDREN)

    def _ask(self, toolset_id: str) -> None:
        self._app.configure_task("peer.create_release", lock=toolset_id).defer(toolset_id=toolset_id)


@contextmanager
def running_peers(stage: Stage) -> Iterator[list[Peer]]:
    """All of them, started."""
    with ExitStack() as stack:
        peers: list[Peer] = [CeleryPeer(stage), ProcrastinatePeer(stage), DramatiqPeer(stage)]
        yield [stack.enter_context(peer) for peer in peers]


def _digest_faults(sessions: sessionmaker[Session], actor: str) -> list[str]:
    """What the newest releases hold has the digests that the rows say, by the peers' own rule."""
    newest = select(Release).where(Release.released_by == actor).order_by(Release.created_at.desc()).limit(RECOMPUTED)
    wrong = 0
    with sessions() as session:
        for release in session.scalars(newest):
            source = release.source_state
            content = {"deployment": source.deployment_snapshot, "system": source.system_snapshot}
            wrong += release.toolset_version.digest != digest(version_content(release.toolset_version))
            wrong += source.digest != digest(content)
    return [f"{wrong} digests do not recompute"] if wrong else []
