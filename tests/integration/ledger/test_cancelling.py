"""A queued request is cancelled, once, and never together with a claim."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from release_worker import ReleaseClient
from release_worker.domain.cancellation import Cancellation
from release_worker.domain.request_record import Ticket
from release_worker.embedded.process import eventually
from release_worker.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    RequestCancelled,
    RequestNotFound,
    RequestNotQueued,
)
from release_worker.operations.cancel_request import cancel_request
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.store.requests import claim_next
from release_worker.worker.inbox import Inbox, Message
from tests.support.billing import a_full_toolset
from tests.support.kill_points import Killed, KillSwitch
from tests.support.ledger import LATER, ask, claim, ledger, mailbox, record, statuses
from tests.support.plug_ins import interrupted_by, raising
from tests.support.records import releases_of
from tests.support.workers import Service, published
from tests.support.world import Toolset


@pytest.fixture
def billing(served: Service) -> Toolset:
    return a_full_toolset(served.engine)


def cancel(engine: Engine, request_id: str) -> None:
    with ledger_transaction(engine) as connection:
        cancel_request(connection, request_id, Cancellation(actor="alice"))


def waits_for_a_lock(engine: Engine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())


def test_who_waits_for_a_cancelled_request_is_told_who_cancelled_it_and_why(
    client: ReleaseClient, billing: Toolset
) -> None:
    handle = client.create_release(billing.path, actor="ci")
    client.cancel(handle.id, actor="alice", reason="wrong\nbranch")
    with pytest.raises(RequestCancelled, match=f"^request {handle.id} was cancelled by alice: wrong branch$") as raised:
        handle.result(1)
    assert raised.value.details == {"request_id": handle.id, "cancelled_by": "alice", "reason": "wrong\nbranch"}


def test_the_message_of_a_cancelled_request_does_nothing(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    handle = client.create_release(billing.path, actor="ci")
    client.cancel(handle.id, actor="alice")
    [sent] = published(served)
    message = Message(sent.id, [], sent.keywords, in_ledger=True, toolset=str(billing.id))
    before = ledger(served.engine)
    ticket = Inbox.ticket("create_release", message)
    assert isinstance(ticket, Ticket)
    assert mailbox(served.engine).work_unseen(ticket) is None
    with pytest.raises(RequestCancelled):
        mailbox(served.engine).work_until_done(Inbox(served.engine).accept("create_release", message).id).answer()
    assert ledger(served.engine) == before
    assert releases_of(served.engine, billing) == []


def test_a_cancelled_request_is_brought_back_by_a_retry(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    asked = ask(served.engine, billing)
    client.cancel(asked, actor="alice")
    handle = client.retry(asked)
    assert mailbox(served.engine).work_until_done(asked).status == "succeeded"
    assert handle.result(1).release_number == 1
    assert record(served.engine, asked).error is None


def test_a_cancelled_request_does_not_block_those_behind_it(served: Service, billing: Toolset) -> None:
    first, second = ask(served.engine, billing), ask(served.engine, billing)
    cancel(served.engine, first)
    assert mailbox(served.engine).work_until_done(second).status == "succeeded"
    assert statuses(served.engine) == ["failed", "succeeded"]


def test_a_request_that_waits_to_be_tried_again_is_cancelled_too(served: Service, billing: Toolset) -> None:
    gone = raising(DatabaseUnavailable(reason="gone"))
    asked = ask(served.engine, billing)
    with pytest.raises(DatabaseUnavailable), capture_logs():
        mailbox(served.engine, retry=LATER, registry=interrupted_by(gone)).work_until_done(asked)
    cancel(served.engine, asked)
    ended = record(served.engine, asked)
    assert (ended.status, ended.next_attempt_at) == ("failed", None)
    with pytest.raises(RequestCancelled):
        ended.answer()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ("running", "is running"),
        ("succeeded", "has succeeded already"),
        ("failed", "has failed already"),
        ("cancelled", "has failed already"),
    ],
)
def test_what_is_not_queued_is_not_cancelled(
    served: Service, client: ReleaseClient, billing: Toolset, status: str, sentence: str
) -> None:
    asked = (
        ask(served.engine, billing, "rollback", release_number=1) if status == "failed" else ask(served.engine, billing)
    )
    if status == "running":
        claim(served.engine, asked)
    elif status == "cancelled":
        cancel(served.engine, asked)
    else:
        mailbox(served.engine).work_until_done(asked)
    before = ledger(served.engine)
    with pytest.raises(RequestNotQueued, match=f"^request {asked} {sentence}: only a queued request can be cancelled$"):
        client.cancel(asked, actor="alice")
    assert ledger(served.engine) == before


@pytest.mark.parametrize("bad", [{"actor": ""}, {"actor": "a\x00b"}, {"actor": "a", "reason": "\x00"}])
def test_what_cannot_be_kept_is_refused_before_anything_is_cancelled(
    served: Service, client: ReleaseClient, billing: Toolset, bad: dict[str, str]
) -> None:
    asked = ask(served.engine, billing)
    with pytest.raises(InvalidRequest):
        client.cancel(asked, **bad)
    assert statuses(served.engine) == ["queued"]


def test_what_is_not_there_is_not_cancelled(client: ReleaseClient) -> None:
    with pytest.raises(RequestNotFound):
        client.cancel(str(uuid4()), actor="alice")


def test_a_request_of_another_organization_is_not_cancelled(
    served: Service, client: ReleaseClient, billing: Toolset
) -> None:
    a_full_toolset(served.engine, organization="rival")
    asked = ask(served.engine, billing)
    with pytest.raises(RequestNotFound):
        client.cancel(asked, actor="alice", organization="rival")
    assert statuses(served.engine) == ["queued"]
    client.cancel(asked, actor="alice", organization="acme")
    assert statuses(served.engine) == ["failed"]


def test_who_cancels_while_a_claim_is_about_to_commit_loses(served: Service, billing: Toolset) -> None:
    asked = ask(served.engine, billing)
    mine = record(served.engine, asked).ticket
    with ThreadPoolExecutor(1) as pool:
        with ledger_transaction(served.engine) as connection:
            assert claim_next(connection, mine, worker="w", lease_seconds=60, attempts=3) is not None
            cancelling = pool.submit(cancel, served.engine, asked)
            assert eventually(lambda: waits_for_a_lock(served.engine), within=30)
        with pytest.raises(RequestNotQueued, match="is running"):
            cancelling.result(30)
    assert statuses(served.engine) == ["running"]


def test_who_claims_while_a_cancellation_is_about_to_commit_loses(served: Service, billing: Toolset) -> None:
    asked = ask(served.engine, billing)
    mine = record(served.engine, asked).ticket
    with ledger_transaction(served.engine) as connection:
        cancel_request(connection, asked, Cancellation(actor="alice"))
        with ledger_transaction(served.engine) as other:
            assert claim_next(other, mine, worker="w", lease_seconds=60, attempts=3) is None
    assert statuses(served.engine) == ["failed"]
    with pytest.raises(RequestCancelled):
        mailbox(served.engine).work_until_done(asked).answer()


def test_a_race_of_a_claim_and_a_cancellation_has_one_winner(served: Service, billing: Toolset) -> None:
    """Whoever comes first: a request that was cancelled made no release, and another made one."""
    cancelled = 0
    with ThreadPoolExecutor(2) as pool:
        for _ in range(20):
            asked = ask(served.engine, billing)
            working = pool.submit(mailbox(served.engine).work_until_done, asked)
            cancelling = pool.submit(cancel, served.engine, asked)
            lost = isinstance(cancelling.exception(30), RequestNotQueued)
            working.exception(30)
            made = [row for row in releases_of(served.engine, billing) if row.request_id == asked]
            status = mailbox(served.engine).work_until_done(asked).status
            assert (status, len(made)) == (("succeeded", 1) if lost else ("failed", 0))
            cancelled += not lost
    assert statuses(served.engine).count("failed") == cancelled


def test_whenever_who_cancels_dies_the_request_is_cancelled_or_still_queued(served: Service, billing: Toolset) -> None:
    mortal = make_engine(served.database_url)
    switch = KillSwitch(mortal)
    outcomes: list[str] = []
    asked = ask(served.engine, billing)
    survived = False
    while not survived:
        switch.arm(len(outcomes))
        with suppress(Killed):
            cancel(mortal, asked)
        survived = not switch.dead
        switch.disarm()
        [row] = ledger(served.engine)[-1:]
        outcomes.append(row.status)
        assert (row.status, row.error is None, row.finished_at is None) in (
            ("queued", True, True),
            ("failed", False, False),
        )
        if row.status == "failed":
            asked = ask(served.engine, billing)
    mortal.dispose()
    assert set(outcomes) == {"queued", "failed"}
    assert releases_of(served.engine, billing) == []
