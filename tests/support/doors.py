"""Every way in which an app asks within a transaction of its own; each asks for one release, and commits or does not.

As a program, with the name of a way and a toolset: it dies right after its commit, before it could publish anything.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import django
import psycopg
from django.conf import settings
from django.db import connections, transaction
from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from release_worker import AsyncReleaseClient, ReleaseClient
from release_worker.client import asking
from release_worker.settings import read_settings

# Given the client, the URL of the database, whether to commit, and the arguments of the request: its id.
Way = Callable[[ReleaseClient, str, bool, Mapping[str, Any]], str]


def session(client: ReleaseClient, url: str, commit: bool, fields: Mapping[str, Any]) -> str:
    with disposed(create_engine(url)) as engine, Session(engine) as opened:
        handle = client.create_release(**fields, session=opened)
        opened.commit() if commit else opened.rollback()
        return handle.id


def connection(client: ReleaseClient, url: str, commit: bool, fields: Mapping[str, Any]) -> str:
    with disposed(create_engine(url)) as engine, engine.connect() as opened:
        handle = client.create_release(**fields, session=opened)
        opened.commit() if commit else opened.rollback()
        return handle.id


@contextmanager
def disposed(engine: Engine) -> Iterator[Engine]:
    """Leaves no connection behind, whatever happens."""
    try:
        yield engine
    finally:
        engine.dispose()


def plain_psycopg(client: ReleaseClient, url: str, commit: bool, fields: Mapping[str, Any]) -> str:
    with psycopg.connect(plain(url)) as opened:
        handle = client.create_release(**fields, session=opened)
        opened.commit() if commit else opened.rollback()
    return handle.id


def async_session(client: ReleaseClient, url: str, commit: bool, fields: Mapping[str, Any]) -> str:
    return asyncio.run(_on_sqlalchemy(AsyncSession, client, url, commit, fields))


def async_connection(client: ReleaseClient, url: str, commit: bool, fields: Mapping[str, Any]) -> str:
    return asyncio.run(_on_sqlalchemy(lambda engine: engine.connect(), client, url, commit, fields))


async def _on_sqlalchemy(
    opened: Callable[[Any], AsyncSession | AsyncConnection],
    client: ReleaseClient,
    url: str,
    commit: bool,
    fields: Mapping[str, Any],
) -> str:
    engine = create_async_engine(url)
    try:
        async with opened(engine) as joined:
            handle = await AsyncReleaseClient.of(client).create_release(**fields, session=joined)
            await (joined.commit() if commit else joined.rollback())
            return handle.id
    finally:
        await engine.dispose()


def async_psycopg(client: ReleaseClient, url: str, commit: bool, fields: Mapping[str, Any]) -> str:
    async def ask() -> str:
        async with await psycopg.AsyncConnection.connect(plain(url)) as opened:
            handle = await AsyncReleaseClient.of(client).create_release(**fields, session=opened)
            await (opened.commit() if commit else opened.rollback())
            return handle.id

    return asyncio.run(ask())


def django_atomic(client: ReleaseClient, url: str, commit: bool, fields: Mapping[str, Any]) -> str:
    set_django_up(client, url)
    from release_worker.django import DjangoReleaseClient

    try:
        with DjangoReleaseClient.from_settings() as of_django, transaction.atomic():
            handle = of_django.create_release(**fields)
            transaction.set_rollback(not commit)
        return handle.id
    finally:
        connections.close_all()


def sql(_client: ReleaseClient, url: str, commit: bool, fields: Mapping[str, Any]) -> str:
    arguments = {name: value for name, value in fields.items() if name not in ("toolset", "actor", "idempotency_key")}
    given = (fields["toolset"], fields["actor"], json.dumps(arguments), fields.get("idempotency_key"))
    with psycopg.connect(plain(url)) as opened:
        row = opened.execute("SELECT release_worker_request('create_release', %s, %s, %s::jsonb, %s)", given).fetchone()
        opened.commit() if commit else opened.rollback()
    assert row is not None
    return str(row[0])


WAYS: Mapping[str, Way] = {
    "Session": session,
    "Connection": connection,
    "psycopg": plain_psycopg,
    "AsyncSession": async_session,
    "AsyncConnection": async_connection,
    "asynchronous psycopg": async_psycopg,
    "Django": django_atomic,
    "SQL": sql,
}


def plain(url: str) -> str:
    """As psycopg takes it."""
    return url.replace("postgresql+psycopg://", "postgresql://")


def set_django_up(client: ReleaseClient, url: str) -> None:
    """Django has its settings once in a process."""
    if settings.configured:
        return
    parts = psycopg.conninfo.conninfo_to_dict(plain(url))
    database = {"ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"], "USER": parts.get("user", "")}
    database |= {"HOST": parts.get("host", ""), "PORT": parts.get("port", ""), "PASSWORD": parts.get("password", "")}
    broker_url = client._settings.broker_url
    settings.configure(DATABASES={"default": database}, RELEASE_WORKER={"BROKER_URL": broker_url}, USE_TZ=True)
    django.setup()


def main(name: str, toolset: str) -> None:
    """Asks on this way, and dies with its commit."""
    vars(asking)["publish"] = lambda *_, **__: os._exit(9)
    with ReleaseClient.from_env() as client:
        url = read_settings().require("database_url")
        print(WAYS[name](client, url, True, {"toolset": toolset, "actor": "crash"}), flush=True)
        os._exit(9)


if __name__ == "__main__":
    main(*sys.argv[1:])
