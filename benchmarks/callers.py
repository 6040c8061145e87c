"""How many requests a second one caller can make: no worker runs, only asking is timed."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from celery import Celery
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from benchmarks import world
from benchmarks.measurements import Measurements
from benchmarks.product import ACTOR
from benchmarks.scale import Scale
from benchmarks.stage import Site, Stage
from release_worker import ReleaseClient

WITH_DATABASE = "enqueues, client with a database"
IN_SESSION = "enqueues, in the caller's session, one commit each"
WITHOUT_DATABASE = "enqueues, client without a database"
PLAIN = "enqueues, plain send_task of any Celery app"

Ask = Callable[[str], object]


def measure_callers(stage: Stage, scale: Scale, measured: Measurements) -> None:
    """Each way to ask, by turns, for toolsets in turn."""
    site = stage.site("callers")
    with ExitStack() as stack:
        ways = _ways(site, stack)
        for _ in range(scale.rounds):
            for name, ask, writes_rows in ways:
                before = _rows(site)
                began = time.monotonic()
                for place in range(scale.enqueues):
                    ask(world.path(1 + place % stage.toolsets))
                measured.add(name, "1/s", scale.enqueues / (time.monotonic() - began))
                measured.fail(name, _faults(site, scale.enqueues, before, writes_rows))


def _ways(site: Site, stack: ExitStack) -> list[tuple[str, Ask, bool]]:
    """Name, call, and whether the call writes the request's row."""
    with_database = stack.enter_context(ReleaseClient(broker_url=site.broker_url, database_url=site.database_url))
    without = stack.enter_context(ReleaseClient(broker_url=site.broker_url, result_backend=site.broker_url))
    plain = stack.enter_context(Celery("caller", broker=site.broker_url, set_as_current=False))
    engine = create_engine(site.database_url)
    stack.callback(engine.dispose)

    def in_session(path: str) -> None:
        with Session(engine) as session:
            with_database.create_release(path, actor=ACTOR, session=session)
            session.commit()

    def send(path: str) -> None:
        plain.send_task("release_worker.create_release", kwargs={"toolset": path, "actor": ACTOR}, queue="releases")

    return [
        (WITH_DATABASE, lambda path: with_database.create_release(path, actor=ACTOR), True),
        (IN_SESSION, in_session, True),
        (WITHOUT_DATABASE, lambda path: without.create_release(path, actor=ACTOR), False),
        (PLAIN, send, False),
    ]


def _faults(site: Site, asked: int, before: int, writes_rows: bool) -> list[str]:
    """Every request has its message, and its row where it should have one. Takes the messages away."""
    with Redis.from_url(site.redis_url) as redis:
        queues = [key for key in redis.scan_iter(match="releases*") if redis.type(key) == b"list"]
        messages = sum(redis.llen(queue) for queue in queues)
        if queues:
            redis.delete(*queues)
    rows, expected_rows = _rows(site) - before, asked if writes_rows else 0
    wrong = [f"{messages} messages for {asked} requests"] if messages != asked else []
    return [*wrong, *([f"{rows} rows for {asked} requests"] if rows != expected_rows else [])]


def _rows(site: Site) -> int:
    with site.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM release_requests")).scalar_one())
