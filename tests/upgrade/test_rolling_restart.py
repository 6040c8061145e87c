"""Workers are replaced one after the other while requests come: each request that was accepted ends once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event

import pytest
from sqlalchemy import text

from release_worker import ReleaseClient
from release_worker.embedded.process import eventually
from tests.support.billing import a_full_toolset
from tests.support.ledger import ledger
from tests.support.records import assert_numbers_and_chain_complete
from tests.support.servers import Servers
from tests.support.workers import LONG, Service, running_worker, service
from tests.support.world import Toolset

AT_ONCE = 4  # requests of one toolset that wait or run at the same time


@pytest.fixture
def served(servers: Servers) -> Iterator[Service]:
    with service(servers, broker_database=11) as made:
        yield made


@contextmanager
def asking(client: ReleaseClient, toolsets: Sequence[Toolset]) -> Iterator[list[str]]:
    """All toolsets are released and rolled back for as long as the block lasts; the ids of what was accepted."""
    over, accepted = Event(), list[str]()

    def ask(toolset: Toolset) -> None:
        number = 0
        while not over.is_set():
            releases = [
                client.create_release(toolset.path, actor="app", labels={"n": number + i}) for i in range(AT_ONCE)
            ]
            rollback = client.rollback(toolset.path, 1, actor="app")
            accepted.extend([*(handle.id for handle in releases), rollback.id])
            for handle in releases:
                handle.result(LONG)
            rollback.result(LONG)
            number += AT_ONCE

    with ThreadPoolExecutor(len(toolsets)) as threads:
        running = [threads.submit(ask, toolset) for toolset in toolsets]
        try:
            yield accepted
        finally:
            over.set()
        for one in running:
            one.result()


def test_workers_that_are_replaced_one_after_the_other_lose_and_double_nothing(served: Service) -> None:
    toolsets = [a_full_toolset(served.engine, organization=f"org-{number}") for number in range(3)]
    with ExitStack() as stack, served.client() as client:
        workers = [stack.enter_context(running_worker(served, "--hostname", f"first-{n}@%h")) for n in range(2)]
        with asking(client, toolsets) as accepted:
            for place, old in enumerate(workers):
                before = len(accepted)
                workers[place] = stack.enter_context(running_worker(served, "--hostname", f"next-{place}@%h"))
                old.terminate()
                assert old.wait(LONG) == 0
                assert eventually(lambda: len(accepted) > before, within=LONG)  # noqa: B023
        assert all("request_succeeded" in worker.said() for worker in workers)

    rows = ledger(served.engine)
    assert sorted(row.id for row in rows) == sorted(accepted)
    assert {(row.status, row.attempts) for row in rows} == {("succeeded", 1)}
    with served.engine.connect() as connection:
        effects = "SELECT request_id FROM toolset_releases WHERE kind = 'release'"
        released = sorted(connection.execute(text(effects)).scalars())
    assert released == sorted(row.id for row in rows if row.kind == "create_release")
    for toolset in toolsets:
        assert_numbers_and_chain_complete(served.engine, toolset)
