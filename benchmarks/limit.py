"""What the machine allows: Celery with nothing to do, and PostgreSQL with nobody but pgbench to serve."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from celery import Celery
from sqlalchemy import text

from benchmarks import correctness, noop
from benchmarks.ends import wait_for_queues
from benchmarks.in_process import in_process_worker
from benchmarks.pgbench import Pgbench
from benchmarks.processes import celery_worker, wait_for_celery
from benchmarks.product import RECOMPUTED, TURN_SECONDS, Turn
from benchmarks.recording import Recording, record_release
from benchmarks.replay import NEW_DIGEST, Script
from benchmarks.stage import Site, Stage
from benchmarks.usage import cpu_seconds
from release_worker.broker.address import Broker
from release_worker.broker.producer import make_app
from release_worker.embedded.python_process import PythonProcess


@dataclass
class Noop:
    """The product's Celery app with a task that does nothing, and the product's producer."""

    app: Celery
    worker: PythonProcess
    site: Site
    roots: Mapping[str, int]

    def wait_until_ready(self) -> None:
        """Until the worker waits for work."""
        wait_for_celery(self.worker, self.site)

    def turn(self, tasks: int) -> Turn:
        """From the first that is asked for to the last that ended."""
        used, own, began = cpu_seconds(self.roots), time.process_time(), time.monotonic()
        for _ in range(tasks):
            self.app.send_task(noop.NAME, queue="releases", ignore_result=True)
        asking, own = time.monotonic() - began, time.process_time() - own
        over = wait_for_queues(self.site.redis_url, within=TURN_SECONDS)
        seconds = time.monotonic() - began
        cpu = {name: now - used[name] for name, now in cpu_seconds(self.roots).items()}
        return Turn(seconds, tasks, [] if over else ["tasks are left"], asking, {"asking": own, **cpu})


@contextmanager
def running_noop(stage: Stage) -> Iterator[Noop]:
    """A worker of two children that does nothing, started."""
    site = stage.site("noop")
    with ExitStack() as stack:
        worker = stack.enter_context(celery_worker("noop", "benchmarks.noop", site))
        app = stack.enter_context(make_app(Broker(site.broker_url), None))
        roots = {"worker": worker.pid, "Valkey": stage.servers.valkey.pid}
        yield Noop(app, worker, site, roots)


@dataclass
class Replay:
    """The operation's recorded statements, sent by pgbench."""

    site: Site
    script: str
    recording: Recording

    def turn(self, connections: int, seconds: int) -> Turn:
        """Releases of random toolsets, for so many seconds."""
        before = correctness.number_of_releases(self.site.engine)
        pgbench = Pgbench(self.site.database_url, self.site.directory)
        replayed = pgbench.for_seconds("release", self.script, connections=connections, seconds=seconds)
        faults = correctness.numbering(self.site.engine, before + replayed.transactions)
        if replayed.failed:
            faults.append(f"{replayed.failed} transactions failed")
        return Turn(replayed.transactions / replayed.per_second, replayed.transactions, faults)


def recorded_replay(stage: Stage) -> Replay:
    """Record a real release in one database, to replay it in another."""
    worker = in_process_worker(stage)
    recording = record_release(worker, stage.toolsets)
    faults = correctness.digests(worker.site.engine, RECOMPUTED)
    if faults:
        raise RuntimeError(f"the recorded release is not what it should be: {faults}")
    site = stage.site("replay")
    with site.engine.begin() as connection:
        connection.execute(text(NEW_DIGEST))
    return Replay(site, Script(recording, stage.toolsets).text(), recording)
