"""A request is written down once, whatever happens around it."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from release_worker.domain.requests.kinds import validate_request
from release_worker.embedded.process import eventually
from release_worker.errors import ResultTimeout
from release_worker.store.accepting import KEY_WAIT, Accepted, accept_request
from release_worker.store.engine import single_statement
from tests.support.billing import a_full_toolset
from tests.support.ledger import ledger
from tests.support.workers import Service
from tests.support.world import Toolset

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
END_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'release_worker client' AND datname = current_database()
"""


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@pytest.mark.parametrize("change", ["slug = 'other'", "deleted_at = now()"])
def test_whoever_waits_for_a_key_while_its_toolset_gets_lost_gets_the_request_of_that_key(
    engine: Engine, billing: Toolset, change: str
) -> None:
    fields = {"toolset": billing.path, "actor": "tester", "idempotency_key": "K"}
    request = validate_request("create_release", fields)

    def second() -> Accepted:
        with single_statement(engine) as connection:
            return accept_request(connection, request, request_id=str(uuid4()), lock_timeout=KEY_WAIT)

    with ThreadPoolExecutor() as pool:
        with engine.begin() as first:
            made = accept_request(first, request, request_id=str(uuid4())).record.id
            waiting = pool.submit(second)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as looker:
                assert eventually(lambda: looker.execute(text(WAITING)).scalar_one() == 1, within=30)
            first.execute(text(f"UPDATE toolsets SET {change} WHERE id = :id"), {"id": billing.id})
        assert waiting.result(timeout=30).record.id == made
    assert len(ledger(engine)) == 1


def test_a_client_whose_connection_died_asks_on_a_new_one(served: Service) -> None:
    billing = a_full_toolset(served.engine)
    with served.client() as client:
        client.create_release(billing.path, actor="tester")
        with served.engine.connect() as connection:
            assert connection.execute(text(END_SESSIONS)).scalars().all() == [True]
        client.create_release(billing.path, actor="tester")
    assert len(ledger(served.engine)) == 2


@pytest.mark.parametrize("read", ["a wait", "a handle"])
def test_a_client_whose_connection_died_reads_on_a_new_one(
    served: Service, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    monkeypatch.setattr("release_worker.store.engine.LONGEST_TRUST", 60.0)
    billing = a_full_toolset(served.engine)
    with served.client() as client:
        asked = client.create_release(billing.path, actor="tester")
        with served.engine.connect() as connection:
            assert connection.execute(text(END_SESSIONS)).scalars().all() == [True]
        if read == "a wait":
            with pytest.raises(ResultTimeout):
                asked.result(0)
        else:
            assert client.handle(asked.id).kind == "create_release"
