"""`FakeReleaseClient` on a real connection: nobody is asked there."""

import asyncio

import psycopg
import pytest

from release_worker import AsyncReleaseClient
from release_worker.errors import InvalidRequest, ToolsetNotFound
from release_worker.testing import FakeReleaseClient

TOOLSET = "acme/payments/billing"  # which this database does not have


def test_for_asyncio_it_answers_on_a_connection_of_psycopg_too(database_url: str) -> None:
    fake = FakeReleaseClient(toolsets={TOOLSET, "a/b/c"})
    client = AsyncReleaseClient.of(fake)

    async def ask() -> list[int]:
        async with await psycopg.AsyncConnection.connect(database_url.replace("+psycopg", "")) as session:
            one = await client.create_release(TOOLSET, actor="app", session=session)
            more = await client.create_releases([TOOLSET, "a/b/c"], actor="app", session=session)
            with pytest.raises(ToolsetNotFound):
                await client.create_releases([TOOLSET, "a/b/d"], actor="app", session=session)
            await session.set_autocommit(True)
            with pytest.raises(InvalidRequest, match="AUTOCOMMIT"):
                await client.create_release(TOOLSET, actor="app", session=session)
        return [(await handle.result()).release_number for handle in (one, *more)]

    assert asyncio.run(ask()) == [1, 2, 1]
    assert len(fake.seen) == 3
