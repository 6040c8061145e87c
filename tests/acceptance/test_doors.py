"""Every way in which an app asks within its own transaction keeps the same promise."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from release_worker import ReleaseClient
from release_worker.errors import InvalidRequest, RequestNotFound, ToolsetNotFound
from tests.support.billing import a_full_toolset
from tests.support.doors import WAYS
from tests.support.ledger import grow_old, ledger
from tests.support.records import releases_of
from tests.support.workers import LONG, ROOT, Service
from tests.support.world import Toolset

ways = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
def client(served: Service) -> Iterator[ReleaseClient]:
    with served.client() as made:
        yield made


def ask(way: str, client: ReleaseClient, served: Service, *, commit: bool = True, **fields: Any) -> str:
    return WAYS[way](client, served.database_url, commit, {"actor": "app", **fields})


@ways
def test_a_commit_makes_one_release(way: str, client: ReleaseClient, served: Service, billing: Toolset) -> None:
    request_id = ask(way, client, served, toolset=billing.path, notes="once")
    assert client.handle(request_id).result(LONG).release_number == 1
    [release] = releases_of(served.engine, billing)
    assert (release.request_id, release.notes) == (request_id, "once")


@ways
def test_a_transaction_that_is_rolled_back_makes_none(
    way: str, client: ReleaseClient, served: Service, billing: Toolset
) -> None:
    undone = ask(way, client, served, commit=False, toolset=billing.path)
    with pytest.raises(RequestNotFound):
        client.handle(undone, "create_release").result(LONG)
    after = ask(way, client, served, toolset=billing.path)
    assert client.handle(after).result(LONG).release_number == 1


@ways
def test_a_caller_that_dies_after_its_commit_still_gets_its_release(
    way: str, client: ReleaseClient, served: Service, billing: Toolset
) -> None:
    command = [sys.executable, "-m", "tests.support.doors", way, billing.path]
    died = subprocess.run(command, cwd=ROOT, env=served.environment, capture_output=True, text=True, timeout=LONG)
    assert (died.returncode, died.stderr) == (9, "")
    [made] = [one for one in ledger(served.engine) if one.toolset_id == billing.id]
    if way in ("Session", "Django"):  # they publish by themselves, so no worker has heard of it
        grow_old(served.engine, 60)
        assert made.id in client.sweep().published  # with what other tests have left
    assert client.handle(made.id).result(LONG).release_number == 1


@ways
def test_the_same_key_makes_one_release(way: str, client: ReleaseClient, served: Service, billing: Toolset) -> None:
    asked = {ask(way, client, served, toolset=billing.path, idempotency_key="build-991") for _ in range(3)}
    asked.add(client.create_release(billing.path, actor="app", idempotency_key="build-991").id)
    [request_id] = asked
    assert client.handle(request_id).result(LONG).release_number == 1
    assert len(releases_of(served.engine, billing)) == 1


@ways
def test_the_toolset_of_another_organization_is_not_there(
    way: str, client: ReleaseClient, served: Service, billing: Toolset
) -> None:
    other = a_full_toolset(served.engine, organization=f"org-{uuid4().hex[:12]}").project.organization.slug
    with pytest.raises((ToolsetNotFound, psycopg.Error)) as refused:
        ask(way, client, served, toolset=billing.path, organization=other)
    assert getattr(refused.value, "sqlstate", "RW002") == "RW002"
    assert releases_of(served.engine, billing) == []


@ways
def test_bad_input_is_one_clear_error(way: str, client: ReleaseClient, served: Service, billing: Toolset) -> None:
    with pytest.raises((InvalidRequest, psycopg.Error)) as refused:
        ask(way, client, served, toolset=billing.path, actor="")
    assert "actor" in str(refused.value).splitlines()[0]
    assert getattr(refused.value, "sqlstate", "RW001") == "RW001"
    assert [one for one in ledger(served.engine) if one.toolset_id == billing.id] == []
