"""Asking within the caller's transaction: no commit, no request; and what was kept is published in the end."""

import gc
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from release_worker import ReleaseClient
from release_worker.client.asking import Handle
from release_worker.errors import (
    BrokerUnavailable,
    IdempotencyConflict,
    InvalidRequest,
    NotConfigured,
    RequestNotFound,
    ResultTimeout,
    VersionConflict,
)
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset
from tests.support.elsewhere import SCHEMA
from tests.support.ledger import grow_old, ledger, mailbox, record, statuses
from tests.support.operations import ACTOR
from tests.support.servers import Servers
from tests.support.workers import LONG, ROOT, Service, published
from tests.support.world import Toolset


@pytest.fixture
def billing(served: Service) -> Toolset:
    return a_full_toolset(served.engine)


@pytest.fixture
def session(served: Service) -> Iterator[Session]:
    """The caller's own."""
    with Session(served.engine) as opened:
        yield opened


def ids(served: Service) -> list[str]:
    """Of the messages on the queues."""
    return [message.id for message in published(served)]


def test_a_request_is_published_when_its_transaction_commits(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    session.execute(text("UPDATE toolsets SET name = 'Edited with the request'"))
    handle = client.create_release(billing.path, actor=ACTOR, session=session)
    before = handle.published
    assert (ledger(served.engine), ids(served)) == ([], [])
    session.commit()
    assert (before, handle.published) == (False, True)
    assert ids(served) == [handle.id]
    assert statuses(served.engine) == ["queued"]
    mailbox(served.engine).work_until_done(handle.id)
    assert handle.result(1).release_number == 1


def test_a_transaction_that_is_rolled_back_leaves_nothing(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    undone = client.create_release(billing.path, actor=ACTOR, session=session)
    session.rollback()
    assert (ledger(served.engine), ids(served), undone.published) == ([], [], False)
    handle = client.rollback(billing.path, 1, actor=ACTOR, session=session)
    session.commit()
    assert ids(served) == [handle.id]
    session.execute(text("SELECT 1"))
    session.commit()
    assert ids(served) == [handle.id]
    with pytest.raises(RequestNotFound):
        undone.result()


def test_a_result_is_waited_for_while_the_callers_transaction_is_open(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    session.execute(text("SELECT 1"))
    handle = client.create_release(billing.path, actor=ACTOR, session=session)
    with ThreadPoolExecutor(1) as another_thread, pytest.raises(ResultTimeout, match="unknown"):
        another_thread.submit(handle.result, 0.1).result(LONG)
    session.commit()
    with pytest.raises(ResultTimeout, match="queued"):
        handle.result(0.1)


def test_the_thread_that_has_to_commit_a_request_is_told_so_instead_of_waiting_for_ever(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    handle = client.create_release(billing.path, actor=ACTOR, session=session)
    with pytest.raises(InvalidRequest, match=r"^commit the transaction that made this request first$"):
        handle.result(LONG)


def test_a_timeout_tells_what_became_of_the_request_so_far(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    handle = client.create_release(billing.path, actor=ACTOR)
    with pytest.raises(ResultTimeout) as waited:
        handle.result(0)
    assert waited.value.details == {"request_id": handle.id, "timeout": 0, "status": "queued", "attempts": 0}
    conflict = VersionConflict(reason="deadlock")
    due = datetime.now(UTC) + timedelta(hours=1)
    with served.engine.begin() as connection:
        connection.execute(
            text("UPDATE release_requests SET attempts = 2, error = CAST(:error AS jsonb), next_attempt_at = :due"),
            {"error": json.dumps(conflict.as_record()), "due": due},
        )
    with pytest.raises(ResultTimeout) as waited:
        handle.result(0)
    told = waited.value.details
    assert (told["attempts"], told["last_error"], told["next_attempt_at"]) == (2, conflict.as_record(), due.isoformat())


def test_a_handle_shows_what_it_stands_for(served: Service, client: ReleaseClient, billing: Toolset) -> None:
    handle = client.create_release(billing.path, actor=ACTOR)
    assert repr(handle) == f"RequestHandle(kind='create_release', id='{handle.id}', published=True)"


def test_the_wait_for_a_result_ends_when_the_callers_transaction_is_undone(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    undone = client.create_release(billing.path, actor=ACTOR, session=session)
    with ThreadPoolExecutor(1) as waiting:
        answer = waiting.submit(undone.result)
        with pytest.raises(TimeoutError):
            answer.result(0.1)
        session.rollback()
        with pytest.raises(RequestNotFound):
            answer.result(LONG)


def test_a_request_of_a_savepoint_that_was_undone_is_not_found(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    savepoint = session.begin_nested()
    undone = client.create_release(billing.path, actor=ACTOR, session=session)
    savepoint.rollback()
    session.commit()
    with pytest.raises(RequestNotFound):
        undone.result()


def test_an_abandoned_session_is_not_kept_by_the_handle(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    undone = ask_in_a_session_that_is_dropped(served, client, billing)
    gc.collect()
    with pytest.raises(RequestNotFound):
        undone.result()


def ask_in_a_session_that_is_dropped(served: Service, client: ReleaseClient, billing: Toolset) -> Handle:
    session = Session(served.engine)
    return client.create_release(billing.path, actor=ACTOR, session=session)


def test_a_handle_is_looked_up_by_the_requests_id_alone(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    asked = client.create_release(billing.path, actor=ACTOR)
    mailbox(served.engine).work_until_done(asked.id)
    found = client.handle(asked.id)
    assert (found.id, found.kind, found.published) == (asked.id, "create_release", True)
    assert found.result(1) == asked.result(1)
    assert client.handle(asked.id, "create_release").result(1) == asked.result(1)


def test_a_handle_of_nothing_is_an_error_at_once(served: Service, client: ReleaseClient) -> None:
    with pytest.raises(RequestNotFound):
        client.handle("nothing")
    with pytest.raises(RequestNotFound):
        client.handle("nothing", "create_release", organization="acme")
    with pytest.raises(RequestNotFound):
        client.handle("nothing", "create_release").result()


def test_a_handle_of_another_organizations_request_is_not_found(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    acme = billing.project.organization
    impostor = a_full_toolset(served.engine, organization=str(acme.id)).project.organization
    asked = client.create_release(billing.path, actor=ACTOR)
    for caller in ("acme", str(acme.id)):
        assert client.handle(asked.id, organization=caller).kind == "create_release"
    for caller in (str(impostor.id), "nobody", str(billing.id)):
        for kind in (None, "create_release"):
            with pytest.raises(RequestNotFound):
                client.handle(asked.id, kind, organization=caller)


def test_without_a_database_only_a_handle_that_needs_none_can_be_had(served: Service) -> None:
    with served.client(database=False) as client:
        assert client.handle("r-1", "rollback").kind == "rollback"
        for kind, organization in ((None, None), ("rollback", "acme")):
            with pytest.raises(NotConfigured) as refused:
                client.handle("r-1", kind, organization=organization)
            assert refused.value.details == {"setting": "RELEASE_WORKER_DATABASE_URL"}


class AsyncSession:
    """As SQLAlchemy's, which needs a package that is not here: no Session, and its methods are coroutines."""

    async def connection(self) -> None:
        raise AssertionError("nobody awaits it")


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda engine: Session(engine, twophase=True), "two-phase commit"),
        (lambda engine: AsyncSession(), "'s AsyncSession; AsyncReleaseClient takes that"),
        (lambda engine: engine, "not sqlalchemy's Engine"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_sentence(
    served: Service, client: ReleaseClient, billing: Toolset, make: Callable[[Engine], Any], complaint: str
) -> None:
    session = make(served.engine)
    with pytest.raises(InvalidRequest) as refused:
        client.create_release(billing.path, actor=ACTOR, session=session)
    if isinstance(session, Session):
        session.close()  # the garbage collector cannot, and would fail in the midst of another test
    assert complaint in str(refused.value)
    assert refused.value.details["problems"][0]["field"] == "session"
    assert ledger(served.engine) == []


def test_a_scoped_session_stands_for_the_session_of_its_thread(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    scoped = scoped_session(sessionmaker(bind=served.engine))
    handle = client.create_release(billing.path, actor=ACTOR, session=scoped)
    assert ids(served) == []
    scoped.commit()
    scoped.remove()
    assert ids(served) == [handle.id]


def test_a_session_that_is_closed_without_a_commit_leaves_nothing(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    undone = client.create_release(billing.path, actor=ACTOR, session=session)
    session.close()
    session.execute(text("SELECT 1"))
    session.commit()
    assert (ledger(served.engine), ids(served), undone.published) == ([], [], False)


def test_an_error_in_the_callers_block_leaves_nothing(served: Service, client: ReleaseClient, billing: Toolset) -> None:
    def ask_and_fail() -> None:
        with Session(served.engine) as session, session.begin():
            client.create_release(billing.path, actor=ACTOR, session=session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ask_and_fail()
    assert (ledger(served.engine), ids(served)) == ([], [])


def test_a_savepoint_is_no_commit(served: Service, client: ReleaseClient, billing: Toolset, session: Session) -> None:
    with session.begin_nested():
        handle = client.create_release(billing.path, actor=ACTOR, session=session)
    assert not handle.published
    assert ids(served) == []
    session.commit()
    assert ids(served) == [handle.id]


def test_of_a_savepoint_that_is_rolled_back_nothing_happens(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    kept = client.create_release(billing.path, actor=ACTOR, session=session)
    savepoint = session.begin_nested()
    client.rollback(billing.path, 1, actor=ACTOR, session=session)
    savepoint.rollback()
    session.commit()
    assert [row.id for row in ledger(served.engine)] == [kept.id]
    for message in published(served):
        arrived = Message(message.id, [], message.keywords, in_ledger=True)
        if message.id != kept.id:  # one that stands for nothing
            with pytest.raises(RequestNotFound):
                Inbox(served.engine).accept("rollback", arrived)
    assert [row.id for row in ledger(served.engine)] == [kept.id]


def test_the_same_key_is_one_request_in_one_transaction_and_over_several(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    handles = [client.create_release(billing.path, actor=ACTOR, idempotency_key="k", session=session) for _ in "ab"]
    session.commit()
    handles.append(client.create_release(str(billing.id), actor=ACTOR, idempotency_key="k", session=session))
    session.commit()
    handles.append(client.create_release(billing.path, actor=ACTOR, idempotency_key="k"))
    assert len({handle.id for handle in handles}) == 1
    assert len(ledger(served.engine)) == 1
    mailbox(served.engine).work_until_done(handles[0].id)
    again = client.create_release(billing.path, actor=ACTOR, idempotency_key="k", session=session)
    assert again.published
    assert again.result(0) == handles[0].result(0)


def test_a_key_that_stands_for_something_else_does_not_end_the_callers_transaction(
    served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    first = client.create_release(billing.path, actor=ACTOR, idempotency_key="k", session=session)
    with pytest.raises(IdempotencyConflict) as conflict:
        client.create_release(billing.path, actor=ACTOR, idempotency_key="k", notes="other", session=session)
    assert conflict.value.details == {"idempotency_key": "k", "request_id": first.id, "differing": ["notes"]}
    session.commit()
    assert ids(served) == [first.id]


DIES_AFTER_ITS_COMMIT = """
import os, sys
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session
from release_worker import ReleaseClient

session = Session(create_engine(sys.argv[1]))
event.listen(session, "after_commit", lambda _: os._exit(86))
client = ReleaseClient(broker_url=sys.argv[2], database_url=sys.argv[1], schema=sys.argv[4])
print(client.create_release(sys.argv[3], actor="x", session=session).id, flush=True)
session.commit()
"""


def test_a_request_whose_caller_died_after_its_commit_is_published_by_a_sweep(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    program = [
        sys.executable,
        "-c",
        DIES_AFTER_ITS_COMMIT,
        served.database_url,
        served.broker_url,
        billing.path,
        SCHEMA,
    ]
    ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=LONG)
    assert ended.returncode == 86, ended.stderr
    [row] = ledger(served.engine)
    assert row.id == ended.stdout.strip()
    assert ids(served) == []
    grow_old(served.engine, 60)
    assert client.sweep().published == (row.id,)
    assert ids(served) == [row.id]


@contextmanager
def broker_down(servers: Servers) -> Iterator[None]:
    servers.valkey.kill()
    try:
        yield
    finally:
        servers.valkey.start()


def test_without_a_broker_the_request_is_kept_and_the_call_says_so(
    servers: Servers, served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    client.create_release(billing.path, actor=ACTOR)  # with a connection that then breaks
    with (
        broker_down(servers),
        pytest.raises(BrokerUnavailable, match="kept and will be done: do not ask again") as down,
    ):
        client.create_release(billing.path, actor=ACTOR)
    request_id = down.value.details["request_id"]
    assert record(served.engine, request_id).status == "queued"
    grow_old(served.engine, 60)
    assert request_id in client.sweep().published
    assert request_id in ids(served)


def test_without_a_broker_the_callers_commit_stands(
    servers: Servers, served: Service, client: ReleaseClient, billing: Toolset, session: Session
) -> None:
    session.execute(text("UPDATE toolsets SET name = 'Edited'"))
    handle = client.create_release(billing.path, actor=ACTOR, session=session)
    with broker_down(servers):
        session.commit()
        assert not handle.published
    assert record(served.engine, handle.id).status == "queued"
    with served.engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM toolsets")).scalar_one() == "Edited"
    grow_old(served.engine, 60)
    assert client.sweep().published == (handle.id,)


def test_without_a_broker_and_without_a_database_nothing_was_kept_and_the_call_says_that(
    servers: Servers, served: Service, billing: Toolset
) -> None:
    with broker_down(servers), served.client(database=False) as bare, pytest.raises(BrokerUnavailable) as down:
        bare.create_release(billing.path, actor=ACTOR)
    assert down.value.details["request_id"] is None
    assert "kept" not in down.value.message
    assert ledger(served.engine) == []


class HangsUp:
    """A broker that ends each connection as soon as it is made."""

    def __init__(self) -> None:
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.calls += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.mark.parametrize("requests", [1, 20])
def test_a_transaction_with_many_requests_tries_a_broker_that_is_gone_once(
    served: Service, billing: Toolset, session: Session, requests: int
) -> None:
    broker = HangsUp()
    with ReleaseClient(broker_url=broker.url, database_url=served.database_url) as client:
        handles = [client.create_release(billing.path, actor=ACTOR, session=session) for _ in range(requests)]
        session.commit()
    broker.close()
    assert not any(handle.published for handle in handles)
    assert statuses(served.engine) == ["queued"] * requests
    assert 1 <= broker.calls <= 10
