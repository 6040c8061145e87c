"""What a client can do besides asking for one thing: many requests at once, how far they are, and what was made."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from release_worker import AsyncReleaseClient, AsyncRequestHandle, ReleaseClient
from release_worker.errors import (
    IdempotencyConflict,
    NotConfigured,
    ReleaseNotFound,
    ReleaseWorkerError,
    RequestCancelled,
    RequestNotFound,
    ResultTimeout,
    ToolsetNotFound,
)
from tests.support.billing import a_full_toolset
from tests.support.doors import plain
from tests.support.ledger import ledger
from tests.support.servers import Servers
from tests.support.workers import LONG, Service
from tests.support.world import Toolset


@pytest.fixture
def client(served: Service) -> Iterator[ReleaseClient]:
    with served.client() as made:
        yield made


@pytest.fixture
def unworked(servers: Servers, served: Service) -> Iterator[ReleaseClient]:
    """One whose broker no worker reads."""
    with ReleaseClient(broker_url=servers.broker(8), database_url=served.database_url) as made:
        yield made


@pytest.fixture
def others(served: Service, billing: Toolset) -> list[Toolset]:
    return [billing, *(a_full_toolset(served.engine, organization=f"org-{uuid4().hex[:12]}") for _ in range(2))]


def of(served: Service, toolsets: list[Toolset]) -> list[str]:
    """The ids of the requests for these toolsets."""
    return [one.id for one in ledger(served.engine) if one.toolset_id in {toolset.id for toolset in toolsets}]


def test_many_releases_are_asked_for_at_once_and_come_in_their_order(
    client: ReleaseClient, served: Service, others: list[Toolset]
) -> None:
    first, *rest = others
    given: list[str | dict[str, str]] = [{"toolset": first.path, "notes": "mine"}, *(str(one.id) for one in rest)]
    handles = client.create_releases(given, actor="app", notes="ours")
    assert [handle.result(LONG).toolset_id for handle in handles] == [one.id for one in others]
    assert [client.release(one.path, 1).release.notes for one in others] == ["mine", "ours", "ours"]


def test_many_releases_are_part_of_a_transaction_on_any_connection(
    client: ReleaseClient, served: Service, others: list[Toolset]
) -> None:
    paths = [one.path for one in others]
    engine = create_engine(served.database_url)
    made = []
    with Session(engine) as session:
        client.create_releases(paths, actor="app", session=session)
        session.rollback()
        made += client.create_releases(paths, actor="app", session=session)
        session.commit()
    with psycopg.connect(plain(served.database_url)) as connection:
        made += client.create_releases(paths, actor="app", session=connection)
    engine.dispose()
    numbers = [handle.result(LONG).release_number for handle in made]
    assert sorted(numbers) == [1, 1, 1, 2, 2, 2]
    assert sorted(of(served, others)) == sorted(handle.id for handle in made)


def test_of_many_all_are_accepted_or_none(client: ReleaseClient, served: Service, others: list[Toolset]) -> None:
    with pytest.raises(ToolsetNotFound):
        client.create_releases([others[0].path, "no/such/toolset"], actor="app")
    client.create_release(others[1].path, actor="app", idempotency_key="k").result(LONG)
    with pytest.raises(IdempotencyConflict):
        client.create_releases([one.path for one in others], actor="app", notes="other", idempotency_key="k")
    assert len(of(served, others)) == 1
    assert client.create_releases([], actor="app") == []


def test_the_same_many_with_a_key_are_the_same_requests(client: ReleaseClient, others: list[Toolset]) -> None:
    paths = [one.path for one in others]
    first, again = (client.create_releases(paths, actor="app", idempotency_key="k") for _ in range(2))
    assert [one.id for one in first] == [one.id for one in again]
    assert {handle.result(LONG).release_number for handle in again} == {1}


def test_a_handle_tells_how_far_its_request_is(
    client: ReleaseClient, unworked: ReleaseClient, billing: Toolset
) -> None:
    done = client.create_release(billing.path, actor="app")
    done.result(LONG)
    waiting = unworked.create_release(billing.path, actor="app")
    assert (done.status(), waiting.status()) == ("succeeded", "queued")
    waiting.cancel(actor="oncall", reason="not now")
    with pytest.raises(RequestCancelled):
        waiting.result(LONG)
    failed = client.rollback(billing.path, 99, actor="app")
    with pytest.raises(ReleaseNotFound):
        failed.result(LONG)
    assert (waiting.status(), failed.status()) == ("failed", "failed")
    with pytest.raises(RequestNotFound):
        client.handle("nothing", "rollback").status()


def test_without_a_database_the_result_backend_tells_it(served: Service, billing: Toolset) -> None:
    with served.client(database=False) as caller:
        handle = caller.create_release(billing.path, actor="app")
        handle.result(LONG)
        assert (handle.status(), caller.handle("nothing", "rollback").status()) == ("succeeded", "queued")
        with pytest.raises(NotConfigured):
            handle.cancel(actor="oncall")


def test_releases_and_requests_are_read_at_once_and_apart_by_organization(
    client: ReleaseClient, unworked: ReleaseClient, served: Service, others: list[Toolset]
) -> None:
    billing, other = others[:2]
    for number in (1, 2):
        client.create_release(billing.path, actor="app", notes=str(number)).result(LONG)
    assert [one.release.release_number for one in unworked.releases(billing.path)] == [2, 1]
    assert [one.release.notes for one in unworked.releases(billing.path, before=2)] == ["1"]
    assert unworked.release(billing.path, 2).current
    assert [one.status for one in unworked.requests(billing.path)] == ["succeeded", "succeeded"]
    [newest] = unworked.requests(billing.path, limit=1)
    assert unworked.request(newest.id).result == newest.result
    stranger = other.project.organization.slug
    assert unworked.requests(organization=stranger) == []
    for read in (
        lambda: unworked.releases(billing.path, organization=stranger),
        lambda: unworked.release(billing.path, 1, organization=stranger),
        lambda: unworked.requests(billing.path, organization=stranger),
        lambda: unworked.request(newest.id, organization=stranger),
    ):
        with pytest.raises((ToolsetNotFound, RequestNotFound)):
            read()


def test_a_session_reads_what_it_has_written(unworked: ReleaseClient, served: Service, billing: Toolset) -> None:
    engine = create_engine(served.database_url)
    with engine.connect() as connection:
        handle = unworked.create_release(billing.path, actor="app", session=connection)
        assert unworked.request(handle.id, session=connection).status == "queued"
        with pytest.raises(RequestNotFound):
            unworked.request(handle.id)
    engine.dispose()


def test_a_schedule_is_run_on_a_connection_and_a_worker_hears_of_it(
    client: ReleaseClient, served: Service, billing: Toolset
) -> None:
    name, organization = f"nightly-{uuid4().hex[:8]}", billing.project.organization.slug
    client.add_schedule(name, toolset=billing.path, cron="0 3 1 1 *", actor="app")
    engine = create_engine(served.database_url)
    with engine.begin() as connection:
        [handle] = client.run_schedule_now(name, organization=organization, session=connection).values()
    engine.dispose()
    assert handle.result(LONG).release_number == 1


def test_an_async_app_asks_waits_and_reads(served: Service, others: list[Toolset]) -> None:
    async def use() -> None:
        async with AsyncReleaseClient.of(served.client()) as client:
            handles = await client.create_releases([one.path for one in others], actor="app")
            assert {(await handle.result(LONG)).release_number for handle in handles} == {1}
            again = [await client.create_release(one.path, actor="app") for one in others]
            wrong = await client.rollback(others[0].path, 99, actor="app")
            asked: list[AsyncRequestHandle[Any]] = [*again, wrong]
            ended = {handle.id: end async for handle, end in client.wait(asked, LONG)}
            assert isinstance(ended[wrong.id], ReleaseNotFound)
            assert not any(isinstance(ended[one.id], ReleaseWorkerError) for one in again)
            assert await wrong.status() == "failed"
            assert [one.release.release_number for one in await client.releases(others[0].path)] == [2, 1]

    asyncio.run(use())


def test_an_async_wait_ends_in_time_and_can_be_cancelled(unworked: ReleaseClient, billing: Toolset) -> None:
    async def use() -> None:
        client = AsyncReleaseClient.of(unworked)
        handle = await client.create_release(billing.path, actor="app")
        with pytest.raises(ResultTimeout) as late:
            await handle.result(0.2)
        assert (late.value.details["timeout"], late.value.details["status"]) == (0.2, "queued")
        with pytest.raises(ResultTimeout):
            [_ async for _ in client.wait([handle], 0.2)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle.result(), 0.2)
        await handle.cancel(actor="app")
        assert await handle.status() == "failed"

    asyncio.run(use())
