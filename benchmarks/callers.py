"""How many requests a second one caller can make: no worker runs, only asking is timed."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import django
import psycopg
from celery import Celery
from django.conf import settings
from django.db import connections, transaction
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from benchmarks import world
from benchmarks.measurements import Measurements
from benchmarks.product import ACTOR, BATCH
from benchmarks.scale import Scale
from benchmarks.stage import Site, Stage
from release_worker import AsyncReleaseClient, ReleaseClient

WITH_DATABASE = "enqueues, client with a database"
IN_SESSION = "enqueues, in the caller's session, one commit each"
WITHOUT_DATABASE = "enqueues, client without a database"
PLAIN = "enqueues, plain send_task of any Celery app"

IN_BATCHES = "enqueues, client with a database, 100 at once"
ON_CONNECTION = "enqueues, on SQLAlchemy's connection, one commit each"
ON_PSYCOPG = "enqueues, on psycopg's connection, one commit each"
IN_ASYNC_SESSION = "enqueues, in an async session, one commit each"
ON_ASYNC_PSYCOPG = "enqueues, on psycopg's async connection, one commit each"
IN_DJANGO = "enqueues, in Django's atomic, one commit each"
IN_SQL = "enqueues, by SQL, one commit each"


@dataclass(frozen=True)
class Way:
    """`ask` asks for a release of each of these toolsets. A request has a row in the ledger, and its message is sent by
    the caller; or else by a worker, if one listened."""

    name: str
    ask: Callable[[Sequence[str]], object]
    row: bool = True
    message: bool = True


def measure_callers(stage: Stage, scale: Scale, measured: Measurements) -> None:
    """Each way to ask, by turns, for toolsets in turn."""
    site = stage.site("callers")
    paths = [world.path(1 + place % stage.toolsets) for place in range(scale.enqueues)]
    with ExitStack() as stack:
        ways = [*_by_client(site, stack), *_in_transactions(site, stack)]
        for _ in range(scale.rounds):
            for way in ways:
                before = _rows(site)
                began = time.monotonic()
                way.ask(paths)
                measured.add(way.name, "1/s", len(paths) / (time.monotonic() - began))
                measured.fail(way.name, _faults(site, way, len(paths), before))


def _by_client(site: Site, stack: ExitStack) -> list[Way]:
    """Requests that are their own transactions, or have none."""
    client = stack.enter_context(ReleaseClient(broker_url=site.broker_url, database_url=site.database_url))
    without = stack.enter_context(ReleaseClient(broker_url=site.broker_url, result_backend=site.broker_url))
    plain = stack.enter_context(Celery("caller", broker=site.broker_url, set_as_current=False))

    def in_batches(paths: Sequence[str]) -> None:
        for first in range(0, len(paths), BATCH):
            client.create_releases(paths[first : first + BATCH], actor=ACTOR)

    def send(path: str) -> None:
        plain.send_task("release_worker.create_release", kwargs={"toolset": path, "actor": ACTOR}, queue="releases")

    return [
        Way(WITH_DATABASE, _each(lambda path: client.create_release(path, actor=ACTOR))),
        Way(IN_BATCHES, in_batches),
        Way(WITHOUT_DATABASE, _each(lambda path: without.create_release(path, actor=ACTOR)), row=False),
        Way(PLAIN, _each(send), row=False),
    ]


def _in_transactions(site: Site, stack: ExitStack) -> list[Way]:
    """Requests that are part of the caller's transaction, on each kind of connection."""
    client = stack.enter_context(ReleaseClient(broker_url=site.broker_url, database_url=site.database_url))
    engine = create_engine(site.database_url)
    stack.callback(engine.dispose)
    dsn = site.database_url.replace("+psycopg", "")
    psycopg_connection = stack.enter_context(psycopg.connect(dsn))

    def in_session(path: str) -> None:
        with Session(engine) as session:
            client.create_release(path, actor=ACTOR, session=session)
            session.commit()

    def on_connection(path: str) -> None:
        with engine.begin() as connection:
            client.create_release(path, actor=ACTOR, session=connection)

    def on_psycopg(path: str) -> None:
        client.create_release(path, actor=ACTOR, session=psycopg_connection)
        psycopg_connection.commit()

    def in_sql(path: str) -> None:
        psycopg_connection.execute("SELECT release_worker_request('create_release', %s, %s)", [path, ACTOR])
        psycopg_connection.commit()

    return [
        Way(IN_SESSION, _each(in_session)),
        Way(ON_CONNECTION, _each(on_connection), message=False),
        Way(ON_PSYCOPG, _each(on_psycopg), message=False),
        Way(IN_ASYNC_SESSION, lambda paths: asyncio.run(_in_async_session(site, client, paths)), message=False),
        Way(ON_ASYNC_PSYCOPG, lambda paths: asyncio.run(_on_async_psycopg(dsn, client, paths)), message=False),
        Way(IN_DJANGO, _each(_in_django(site, stack))),
        Way(IN_SQL, _each(in_sql), message=False),
    ]


def _each(ask: Callable[[str], object]) -> Callable[[Sequence[str]], object]:
    def ask_for(paths: Sequence[str]) -> None:
        for path in paths:
            ask(path)

    return ask_for


async def _in_async_session(site: Site, client: ReleaseClient, paths: Sequence[str]) -> None:
    engine, asking = create_async_engine(site.database_url), AsyncReleaseClient.of(client)
    for path in paths:
        async with AsyncSession(engine) as session, session.begin():
            await asking.create_release(path, actor=ACTOR, session=session)
    await engine.dispose()


async def _on_async_psycopg(dsn: str, client: ReleaseClient, paths: Sequence[str]) -> None:
    asking = AsyncReleaseClient.of(client)
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        for path in paths:
            await asking.create_release(path, actor=ACTOR, session=connection)
            await connection.commit()


def _in_django(site: Site, stack: ExitStack) -> Callable[[str], object]:
    parts = psycopg.conninfo.conninfo_to_dict(site.database_url.replace("+psycopg", ""))
    names = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}
    database = {name: parts.get(part, "") for name, part in names.items()}
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **database}},
        RELEASE_WORKER={"BROKER_URL": site.broker_url},
    )
    django.setup()
    from release_worker.django import DjangoReleaseClient

    client = stack.enter_context(DjangoReleaseClient.from_settings())
    stack.callback(connections.close_all)

    def ask(path: str) -> None:
        with transaction.atomic():
            client.create_release(path, actor=ACTOR)

    return ask


def _faults(site: Site, way: Way, asked: int, before: int) -> list[str]:
    """Every request has its message and its row, or none where it should have none. Takes the messages away."""
    with Redis.from_url(site.redis_url) as redis:
        queues = [key for key in redis.scan_iter(match="releases*") if redis.type(key) == b"list"]
        messages = sum(redis.llen(queue) for queue in queues)
        if queues:
            redis.delete(*queues)
    rows = _rows(site) - before
    wrong = [f"{messages} messages for {asked} requests"] if messages != asked * way.message else []
    return [*wrong, *([f"{rows} rows for {asked} requests"] if rows != asked * way.row else [])]


def _rows(site: Site) -> int:
    with site.engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM release_requests")).scalar_one())
