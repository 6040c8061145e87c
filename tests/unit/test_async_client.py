"""The client for asyncio has each method of the other, with its name, its documentation and its parameters."""

import asyncio
import inspect

import pytest

from release_worker import AsyncReleaseClient, ReleaseClient
from release_worker.errors import InvalidRequest

OF_ITS_OWN = {"of"}  # a second constructor


def public(client: type) -> set[str]:
    return {name for name in dir(client) if not name.startswith("_")}


def test_it_has_the_methods_of_the_other_client() -> None:
    assert public(AsyncReleaseClient) - OF_ITS_OWN == public(ReleaseClient)


@pytest.mark.parametrize("name", sorted(public(ReleaseClient) - {"from_env", "wait"}))
def test_a_method_is_called_as_its_twin_is_and_is_awaited(name: str) -> None:
    method, awaited = getattr(ReleaseClient, name), getattr(AsyncReleaseClient, name)
    assert awaited.__doc__ == method.__doc__
    assert inspect.signature(awaited).parameters.keys() == inspect.signature(method).parameters.keys()
    assert inspect.iscoroutinefunction(awaited)


def test_bad_input_is_refused_before_anybody_is_asked() -> None:
    async def ask() -> None:
        async with AsyncReleaseClient(broker_url="memory://") as client:
            await client.create_release("no path", actor="x")

    with pytest.raises(InvalidRequest):
        asyncio.run(ask())


def test_it_is_made_as_the_other_one_is() -> None:
    assert inspect.signature(AsyncReleaseClient.__init__) == inspect.signature(ReleaseClient.__init__)
