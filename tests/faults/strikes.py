"""The faults."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from celery import Celery
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, exc, text

from release_worker.broker.routing import IN_LEDGER
from release_worker.domain.requests.kinds import KINDS
from release_worker.embedded import EmbeddedServers
from release_worker.embedded.process import eventually
from tests.faults.journal import Journal, Struck
from tests.faults.load import APP_NAME, BROKER_ERRORS
from tests.faults.plan import Fault, Strike
from tests.faults.processes import CeleryProcess

LOCKS = "release_worker:lock:toolset:*"
PATIENCE = 4.0  # seconds to wait for a pin or a prune that is at work
VICTIMS = ("release_worker worker", "release_worker client", APP_NAME)


@dataclass
class Striker:
    """Strikes one fault after another; only what was stopped wakes while others go on."""

    servers: EmbeddedServers
    engine: Engine
    workers: Sequence[CeleryProcess]
    beats: Sequence[CeleryProcess]
    plain: Celery
    journal: Journal
    stopped: list[threading.Thread] = field(default_factory=list)

    def strike(self, strike: Strike) -> None:
        began = time.monotonic()
        act: dict[Fault, Callable[[Strike], str | None]] = {
            "kill child": self._kill_child,
            "kill worker": self._kill_worker,
            "kill beat": self._kill_beat,
            "kill child in pin or prune": self._strike_retention,
            "terminate backend in pin or prune": self._strike_retention,
            "stop child past its lease": self._stop_child,
            "stop worker past its lease": self._stop_worker,
            "flush broker": self._flush,
            "restart broker": self._restart_broker,
            "restart broker without its data": self._restart_broker,
            "terminate backends": self._terminate_backends,
            "restart postgres": self._restart_postgres,
            "delete held lock": self._delete_lock,
            "deliver twice": self._deliver_twice,
        }
        note = act[strike.fault](strike)
        if note is None:
            self.journal.count("strikes that hit nothing")
        else:
            self.journal.strikes.append(Struck(strike.fault, began, time.monotonic(), note))
        self.note_deaths()

    def note_deaths(self) -> None:
        """Processes that ended without having been killed are defects; start them again all the same."""
        for worker in (*self.workers, *self.beats):
            if worker.status is not None:
                self.journal.deaths.append(f"{worker.name} ended by itself with {worker.status}: {worker.log}")
                worker.kill_all()
                worker.start()

    def wait_for_stopped(self) -> None:
        for thread in self.stopped:
            thread.join()

    def _kill_child(self, strike: Strike) -> str | None:
        pid = self._child(strike)
        if pid is None:
            return None
        _signal(pid, signal.SIGKILL)
        return f"pid {pid}"

    def _kill_worker(self, strike: Strike) -> str:
        """Its main process alone, so that its children find themselves orphans, or all of it at once."""
        draw = random.Random(strike.draw)
        worker = draw.choice(self.workers)
        alone = draw.random() < 0.5
        if alone:
            worker.kill()
            time.sleep(draw.uniform(0.0, 1.0))
            worker.kill_all()
        else:
            worker.kill_all()
        worker.start()
        return f"{worker.name}{', first its main process' if alone else ''}"

    def _kill_beat(self, strike: Strike) -> str:
        """One of them, or all: then nobody sweeps for a while."""
        draw = random.Random(strike.draw)
        beats = self.beats if draw.random() < 0.5 else [draw.choice(self.beats)]
        for beat in beats:
            beat.kill_all()
        time.sleep(draw.uniform(0.0, 1.0))
        for beat in beats:
            beat.start()
        return ", ".join(beat.name for beat in beats)

    def _strike_retention(self, strike: Strike) -> str | None:
        """The first pin or prune that is in the middle of its transaction within some seconds: the child that works it,
        or the backend that works for it."""
        caught = """
            SELECT kind, split_part(worker, ' pid ', 2)::int AS child,
                   CASE WHEN :backend THEN pg_terminate_backend(pid) END
            FROM release_requests JOIN pg_stat_activity ON backend_xid::text = release_requests.xmax::text
            WHERE status = 'running' AND kind IN ('pin', 'prune')
        """
        backend = strike.fault == "terminate backend in pin or prune"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with suppress(exc.DBAPIError), self.engine.connect() as connection:
                while time.monotonic() < deadline:
                    row = connection.execute(text(caught), {"backend": backend}).first()
                    if row is not None:
                        if not backend:
                            _signal(row.child, signal.SIGKILL)
                        return f"a {row.kind}, {'backend' if backend else f'pid {row.child}'}"
                    connection.rollback()
                    time.sleep(0.001)
            time.sleep(0.1)
        return None

    def _stop_child(self, strike: Strike) -> str | None:
        pid = self._child(strike)
        if pid is None:
            return None
        _signal(pid, signal.SIGSTOP)

        def wake() -> None:
            time.sleep(strike.seconds)
            _signal(pid, signal.SIGCONT)

        self._wake_later(wake)
        return f"pid {pid} for {strike.seconds:.1f} s"

    def _stop_worker(self, strike: Strike) -> str:
        """Its main process and its children at once, as a machine that hangs. It may be killed before it goes on."""
        worker = random.Random(strike.draw).choice(self.workers)
        go_on = worker.stop_all()

        def wake() -> None:
            time.sleep(strike.seconds)
            go_on()

        self._wake_later(wake)
        return f"{worker.name} for {strike.seconds:.1f} s"

    def _wake_later(self, wake: Callable[[], None]) -> None:
        thread = threading.Thread(target=wake, name="wake", daemon=True)
        thread.start()
        self.stopped.append(thread)

    def _flush(self, _: Strike) -> str:
        self._redis(lambda redis: redis.flushall())
        return ""

    def _restart_broker(self, strike: Strike) -> str:
        self.servers.valkey.restart(keep_data=strike.fault == "restart broker")
        return ""

    def _terminate_backends(self, strike: Strike) -> str | None:
        """Up to three backends of workers, clients and apps, those at work before the idle ones."""
        terminate = """
            SELECT count(pg_terminate_backend(pid)) FROM (
                SELECT pid FROM pg_stat_activity
                WHERE application_name = ANY (CAST(:victims AS text[])) AND datname = current_database()
                ORDER BY state = 'idle', md5(pid::text || :draw) LIMIT :limit) AS victims
        """
        values = {"victims": list(VICTIMS), "draw": str(strike.draw), "limit": 1 + int(strike.draw * 3)}
        with suppress(exc.DBAPIError), self.engine.connect() as connection:
            count = connection.execute(text(terminate), values).scalar_one()
            return f"{count} backends" if count else None
        return None

    def _restart_postgres(self, _: Strike) -> str:
        self.servers.postgres.restart_immediately()
        return ""

    def _delete_lock(self, _: Strike) -> str | None:
        """Whichever lock is held first within two seconds."""
        deleted: list[str] = []

        def caught(redis: Redis) -> bool:
            deleted.extend(key for key in held_locks(redis) if redis.delete(key))
            return bool(deleted)

        self._redis(lambda redis: eventually(lambda: caught(redis), within=2))
        return f"{len(deleted)} locks" if deleted else None

    def _deliver_twice(self, strike: Strike) -> str | None:
        """Three of the last thirty requests, whatever their state, each once or twice more."""
        recent = """
            SELECT id, kind, payload, idempotency_key FROM (
                SELECT * FROM release_requests ORDER BY seq DESC LIMIT 30) AS recent
            ORDER BY md5(id || :draw) LIMIT 3
        """
        with suppress(exc.DBAPIError, *BROKER_ERRORS):
            with self.engine.connect() as connection:
                rows = connection.execute(text(recent), {"draw": str(strike.draw)}).all()
            draw = random.Random(strike.draw)
            for row in rows:
                for _ in range(draw.randint(1, 2)):
                    self._publish_again(row.id, row.kind, {**row.payload, "idempotency_key": row.idempotency_key}, draw)
            return f"{len(rows)} requests" if rows else None
        return None

    def _publish_again(self, request_id: str, kind: str, arguments: dict[str, object], draw: random.Random) -> None:
        self.plain.send_task(
            f"release_worker.{kind}",
            kwargs={name: value for name, value in arguments.items() if value is not None},
            task_id=request_id,
            queue=KINDS[kind].queue,
            headers={IN_LEDGER: True} if draw.random() < 0.5 else None,
            ignore_result=True,
        )

    def _child(self, strike: Strike) -> int | None:
        """A child that is at work if there is one within a second, else any."""
        at_work: list[int] = []
        children = [pid for worker in self.workers if worker.has_worked for pid in worker.children()]

        def found() -> bool:
            at_work[:] = [pid for pid in self._working() if pid in children]
            return bool(at_work)

        eventually(found, within=1)
        victims = sorted(at_work or children)
        return victims[int(strike.draw * len(victims))] if victims else None

    def _working(self) -> list[int]:
        query = text("SELECT split_part(worker, ' pid ', 2)::int FROM release_requests WHERE status = 'running'")
        with suppress(exc.DBAPIError), self.engine.connect() as connection:
            return list(connection.execute(query).scalars())
        return []

    def _redis(self, act: Callable[[Redis], object]) -> None:
        with suppress(RedisError), Redis.from_url(self.servers.redis_url) as redis:
            act(redis)


def held_locks(redis: Redis) -> list[str]:
    """The keys of the locks, without the lists that wake those who wait for them."""
    keys = [key.decode() if isinstance(key, bytes) else str(key) for key in redis.keys(LOCKS)]
    return [key for key in keys if not key.endswith(":released")]


def _signal(pid: int, number: signal.Signals) -> None:
    """A child may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
