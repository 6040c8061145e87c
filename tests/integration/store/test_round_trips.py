"""How often each operation waits for a server. A number that grows is a decision; docs/performance.md says why."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from redis.connection import AbstractConnection
from sqlalchemy import Engine

from release_worker.domain.outcomes import Succeeded
from release_worker.domain.requests.kinds import validate_request
from release_worker.store.accepting import KEY_WAIT, accept_request
from release_worker.store.engine import make_engine, single_statement
from release_worker.worker.inbox import Inbox, Message
from release_worker.worker.lock import toolset_lock_client
from tests.support.billing import INVOICE, a_full_toolset, edit_everything
from tests.support.bundles import exported, keep
from tests.support.ledger import WorkedMailbox, ask, mailbox, redis_locks, ticket
from tests.support.round_trips import round_trips
from tests.support.servers import Servers
from tests.support.staging import stage
from tests.support.world import Toolset

AROUND = 5  # claim, begin, hold the request, succeed, commit
EXPECTED = {
    "a release": AROUND + 2,  # hold the toolset with its current release, capture
    "a release that is not needed": AROUND + 3,  # in which form the current one was written
    "a rollback that changes nothing": AROUND + 6,
    "a rollback of one list": AROUND + 11,
    "a rollback of everything": AROUND + 14,
    "a repair that changes nothing": AROUND + 8,  # which release is current, before and after it is held
    "a rollback that was planned": AROUND + 12,  # one of one list, and what the plan said
    "a check of drift": AROUND + 3,
    "a difference of two releases": AROUND + 5,
    "a verification": AROUND + 11,
    "a status": AROUND + 10,
    "a pin": AROUND + 3,
    "a prune": AROUND + 15,
    "a staged copy": AROUND + 8,
    "a staged copy that is there": AROUND + 3,
    "a publication": AROUND + 21,
    "a discarded copy": AROUND + 9,
    "a mode": AROUND + 2,
    "an import": AROUND + 15,
    "a mark": AROUND + 3,
}


@pytest.fixture
def engine_of_worker(engine: Engine) -> Iterator[Engine]:
    """Its connection has been used: the first use of one costs more."""
    made = make_engine(engine.url.render_as_string(hide_password=False))
    with single_statement(made) as connection:
        connection.exec_driver_sql("SELECT 1")
    yield made
    made.dispose()


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Released twice."""
    billing = a_full_toolset(engine)
    for _ in range(2):
        mailbox(engine).work_until_done(ask(engine, billing))
    return billing


def worked(engine: Engine, worker: WorkedMailbox, toolset: Toolset, kind: str, **fields: Any) -> None:
    """Ask for it, and work it on the sender's word."""
    assert isinstance(worker.work_unseen(ticket(engine, ask(engine, toolset, kind, **fields))), Succeeded)


OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "a release": ("create_release", {}),
    "a release that is not needed": ("create_release", {"only_if_changed": True}),
    "a rollback that changes nothing": ("rollback", {"release_number": 2}),
    "a rollback of one list": ("rollback", {"release_number": 1}),
    "a rollback of everything": ("rollback", {"release_number": 1, "allow_shared_impact": True}),
    "a repair that changes nothing": ("repair", {}),
    "a rollback that was planned": ("apply_plan", {}),
    "a check of drift": ("check_drift", {}),
    "a difference of two releases": ("diff", {"release_number": 1, "to": 2}),
    "a verification": ("verify", {}),
    "a status": ("status", {}),
    "a pin": ("pin", {"release_number": 1}),
    "a prune": ("prune", {"keep": 1}),
    "a staged copy": ("stage", {}),
    "a staged copy that is there": ("stage", {}),
    "a publication": ("publish", {}),
    "a discarded copy": ("discard", {}),
    "a mode": ("set_mode", {"mode": "staging"}),
    "an import": ("import_bundle", {"allow_shared_impact": True}),
    "a mark": ("mark", {"release_number": 1, "mark": "bad"}),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_waits_for_postgresql_as_often_as_was_decided(
    engine: Engine, engine_of_worker: Engine, billing: Toolset, name: str
) -> None:
    if name in ("a rollback of one list", "a rollback that was planned"):
        billing.move_tool(INVOICE, 9)
    if name == "a rollback of everything":
        edit_everything(billing)
    kind, fields = OPERATIONS[name]
    if name in ("a staged copy that is there", "a publication", "a discarded copy"):
        stage(engine, billing)
    if name == "a publication":
        billing.move_tool(INVOICE, 9)
    if name == "an import":
        fields = {**fields, "bundle": keep(engine, exported(engine, billing, 1))}
        edit_everything(billing)
    if kind == "apply_plan":
        planned = mailbox(engine).work_until_done(ask(engine, billing, "rollback", release_number=1, dry_run=True))
        fields = {"plan_id": planned.id}
    worker = mailbox(engine_of_worker)
    with round_trips(engine_of_worker) as waited:
        worked(engine, worker, billing, kind, **fields)
    assert waited.number == EXPECTED[name]


def test_a_release_at_once_waits_three_times(engine: Engine, engine_of_worker: Engine, billing: Toolset) -> None:
    """Begin, the statement, commit."""
    asked = ticket(engine, ask(engine, billing), first=True)
    with round_trips(engine_of_worker) as waited:
        assert isinstance(mailbox(engine_of_worker).work_unseen(asked), Succeeded)
    assert waited.number == 3


def test_asking_waits_once(engine_of_worker: Engine, billing: Toolset) -> None:
    request = validate_request("create_release", {"toolset": billing.path, "actor": "tester"})
    with round_trips(engine_of_worker) as waited, single_statement(engine_of_worker) as connection:
        accept_request(connection, request, request_id=str(uuid4()), lock_timeout=KEY_WAIT)
    assert waited.number == 1


def test_a_plain_message_at_once_waits_four_times(engine_of_worker: Engine, billing: Toolset) -> None:
    """Begin, accept, the statement, commit."""
    arguments = {"toolset": billing.path, "actor": "tester"}
    arrival = Inbox.arrival("create_release", Message(str(uuid4()), [], arguments, in_ledger=False, first=True))
    assert arrival is not None
    with round_trips(engine_of_worker) as waited:
        assert isinstance(mailbox(engine_of_worker).work_unwritten(arrival), Succeeded)
    assert waited.number == 4


def test_a_message_that_says_less_costs_one_more(engine: Engine, engine_of_worker: Engine, billing: Toolset) -> None:
    arguments = {"toolset": billing.path, "actor": "tester"}
    with round_trips(engine_of_worker) as waited:
        record = Inbox(engine_of_worker).accept("create_release", Message(str(uuid4()), [], arguments, in_ledger=False))
        assert isinstance(mailbox(engine_of_worker).work(record), Succeeded)
    assert waited.number == EXPECTED["a release"] + 1


def test_the_lock_waits_for_redis_when_it_is_taken_and_when_it_is_given_back(
    engine: Engine, billing: Toolset, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    send = AbstractConnection.send_packed_command

    def counted(connection: AbstractConnection, command: Any, *arguments: Any, **options: Any) -> None:
        sent.append(command)
        send(connection, command, *arguments, **options)  # type: ignore[no-untyped-call]

    with toolset_lock_client(servers.redis_url) as redis:
        worker = mailbox(engine, make_lock=redis_locks(redis))
        worked(engine, worker, billing, "create_release")  # connects, and brings the scripts
        monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
        worked(engine, worker, billing, "create_release")
        assert len(sent) == 2
