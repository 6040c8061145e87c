"""Connections that an app has set up in its own way."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings
from django.db import connections, transaction
from sqlalchemy import create_engine, make_url
from sqlalchemy.orm import Session

from release_worker import AsyncReleaseClient, ReleaseClient
from release_worker.errors import ToolsetNotFound
from tests.support.doors import plain, set_django_up
from tests.support.ledger import ledger
from tests.support.servers import Servers
from tests.support.workers import LONG, Service
from tests.support.world import Toolset


@pytest.fixture
def client(served: Service) -> Iterator[ReleaseClient]:
    with served.client() as made:
        yield made


@pytest.fixture
def of_django(client: ReleaseClient, served: Service) -> Iterator[ReleaseClient]:
    set_django_up(client, served.database_url)
    from release_worker.django import DjangoReleaseClient

    with DjangoReleaseClient.from_settings() as made:
        yield made
    connections.close_all()


def asked_for(served: Service, toolset: Toolset) -> list[str]:
    return [one.id for one in ledger(served.engine) if one.toolset_id == toolset.id]


def test_many_releases_are_part_of_djangos_transaction(
    of_django: ReleaseClient, served: Service, billing: Toolset
) -> None:
    with transaction.atomic():
        of_django.create_releases([billing.path] * 2, actor="app")
        transaction.set_rollback(True)
    assert asked_for(served, billing) == []
    with transaction.atomic():
        handles = of_django.create_releases([billing.path] * 2, actor="app")
        assert [one.published for one in handles] == [False, False]
    assert [one.published for one in handles] == [True, True]
    assert [one.result(LONG).release_number for one in handles] == [1, 2]


def test_many_releases_of_django_are_all_accepted_or_none(
    of_django: ReleaseClient, served: Service, billing: Toolset
) -> None:
    with pytest.raises(ToolsetNotFound):
        of_django.create_releases([billing.path, "no/such/one"], actor="app")
    with transaction.atomic():
        with pytest.raises(ToolsetNotFound):
            of_django.create_releases([billing.path, "no/such/one"], actor="app")
        assert not transaction.get_rollback()
    assert asked_for(served, billing) == []


def test_a_commit_that_django_does_not_make_itself_makes_a_release(
    of_django: ReleaseClient, served: Service, billing: Toolset
) -> None:
    transaction.set_autocommit(False)
    try:
        handle = of_django.create_release(billing.path, actor="app")
        assert asked_for(served, billing) == []
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert handle.result(LONG).release_number == 1


def test_a_connection_may_have_cursors_with_other_places_for_parameters(
    client: ReleaseClient, served: Service, billing: Toolset
) -> None:
    with psycopg.connect(plain(served.database_url), cursor_factory=psycopg.RawCursor) as opened:
        handle = client.create_release(billing.path, actor="app", session=opened)
    assert handle.result(LONG).release_number == 1


def test_so_may_an_asynchronous_one(client: ReleaseClient, served: Service, billing: Toolset) -> None:
    async def ask() -> int:
        url = plain(served.database_url)
        async with await psycopg.AsyncConnection.connect(url, cursor_factory=psycopg.AsyncRawCursor) as opened:
            handle = await AsyncReleaseClient.of(client).create_release(billing.path, actor="app", session=opened)
        return (await handle.result(LONG)).release_number

    assert asyncio.run(ask()) == 1


def test_django_is_followed_to_the_database_that_a_test_runner_gives_it(
    of_django: ReleaseClient, served: Service, billing: Toolset, servers: Servers
) -> None:
    assert [one.path for one in of_django.toolsets(organization=billing.project.organization.slug)] == [billing.path]
    with servers.databases.temporary() as other, pytest.MonkeyPatch.context() as patch:
        patch.setitem(connections["default"].settings_dict, "NAME", make_url(other).database)
        assert of_django.toolsets() == []
        of_django.close()
    assert of_django.toolsets(organization=billing.project.organization.slug) != []


def test_what_libpq_knows_of_djangos_options_counts_for_the_clients_own_connections(
    of_django: ReleaseClient, served: Service
) -> None:
    from release_worker.django import DjangoReleaseClient

    options = {"application_name": "shop", "isolation_level": 2, "sslmode": "prefer"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(settings.DATABASES["default"], "OPTIONS", options)
        with DjangoReleaseClient.from_settings() as client:
            url = make_url(client._engine().url)
    assert {name: url.query.get(name) for name in options} == {**options, "isolation_level": None}


def test_a_session_on_its_callers_connection_waits_for_the_commit_of_that(
    client: ReleaseClient, served: Service, billing: Toolset
) -> None:
    engine = create_engine(served.database_url)
    with engine.connect() as connection, connection.begin() as outer:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            handle = client.create_release(billing.path, actor="app", session=session)
            session.commit()
        assert not handle.published
        assert asked_for(served, billing) == []
        outer.commit()
    assert handle.result(LONG).release_number == 1
    engine.dispose()


def test_many_releases_are_asked_for_on_an_asynchronous_connection_of_psycopg(
    client: ReleaseClient, served: Service, billing: Toolset
) -> None:
    async def ask(*, commit: bool) -> list[str]:
        asking = AsyncReleaseClient.of(client)
        async with await psycopg.AsyncConnection.connect(plain(served.database_url)) as connection:
            handles = await asking.create_releases([billing.path] * 2, actor="app", session=connection)
            assert await asking.create_releases([], actor="app", session=connection) == []
            await (connection.commit() if commit else connection.rollback())
        return [one.id for one in handles]

    asyncio.run(ask(commit=False))
    made = asyncio.run(ask(commit=True))
    assert asked_for(served, billing) == made
    assert [client.handle(one).result(LONG).release_number for one in made] == [1, 2]
