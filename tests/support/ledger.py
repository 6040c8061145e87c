"""Requests without a broker: ask by writing a row, work it in this process, and move the ledger's clocks by hand."""

from typing import Any
from uuid import uuid4

from redis import Redis
from sqlalchemy import Engine, Row, text

from release_worker.domain.canonical_json import as_plain
from release_worker.domain.request_record import Claim, RequestRecord, Ticket
from release_worker.domain.requests.kinds import validate_request
from release_worker.state.registry import Registry, built_in_components
from release_worker.store.accepting import accept_request
from release_worker.store.engine import ledger_transaction, single_statement
from release_worker.store.requests import claim_next, get_request
from release_worker.worker.executor import Executor
from release_worker.worker.lock import RedisToolsetLock
from release_worker.worker.mailbox import Mailbox
from release_worker.worker.policy import LeasePolicy, RetryPolicy
from release_worker.worker.toolset_lock import MakeLock, NoLock
from tests.support.operations import ACTOR
from tests.support.world import Toolset

# A retry is due at once, and immediate tries do not wait.
AT_ONCE = RetryPolicy(immediate_delay=0.0001, first_delay=0.0, attempts=3)
# A retry is due when a test says so.
LATER = RetryPolicy(immediate_delay=0.0001, first_delay=600.0, longest_delay=600.0, attempts=3)
SHORT_WAIT = LeasePolicy(lock_wait=0.05)


def ask(engine: Engine, toolset: Toolset | str, kind: str = "create_release", **fields: Any) -> str:
    """Write a request down, as the client does; returns its id."""
    reference = toolset if isinstance(toolset, str) else toolset.path
    request = validate_request(kind, {"toolset": reference, "actor": ACTOR, **fields})
    with ledger_transaction(engine) as connection:
        return accept_request(connection, request, request_id=str(uuid4())).record.id


def ticket(engine: Engine, request_id: str, *, first: bool = False, **said: Any) -> Ticket:
    """What the request's sender says of its row; `said` is what it says otherwise than it is. `first`: it is the first
    delivery of the message."""
    row = record(engine, request_id)
    true = {"id": row.id, "toolset_id": row.toolset_id, "kind": row.kind, "payload": row.payload, **said}
    return Ticket(true["id"], true["toolset_id"], validate_request(true["kind"], as_plain(true["payload"])), first)


class WorkedMailbox(Mailbox):
    """A mailbox, asked by the ids of requests that are in the ledger."""

    def work_until_done(self, request_id: str, *, first: bool = False) -> RequestRecord:
        """As `work`; returns the row as it is afterwards."""
        self.work(self._row(request_id), first=first)
        return self._row(request_id)

    def _row(self, request_id: str) -> RequestRecord:
        """In one statement, as the mailbox itself looks."""
        with single_statement(self._engine) as connection:
            found = get_request(connection, request_id)
        assert found is not None, f"request {request_id} was asked for"
        return found


def mailbox(
    engine: Engine,
    *,
    registry: Registry | None = None,
    make_lock: MakeLock | None = None,
    worker: str = "worker-a",
    retry: RetryPolicy = AT_ONCE,
    leases: LeasePolicy = SHORT_WAIT,
) -> WorkedMailbox:
    """The mailbox of one worker, without a lock unless one is given."""
    return WorkedMailbox(
        engine,
        Executor(engine, registry or built_in_components(), retry=retry, leases=leases),
        make_lock or (lambda *_: NoLock()),
        worker=worker,
        leases=leases,
    )


def redis_locks(redis: Redis, leases: LeasePolicy = SHORT_WAIT) -> MakeLock:
    """The toolset locks that a worker uses."""
    return lambda toolset_id, owner, wait: RedisToolsetLock(redis, toolset_id, owner=owner, ttl=leases.lease, wait=wait)


def record(engine: Engine, request_id: str) -> RequestRecord:
    """The request as the ledger has it; it must be there."""
    with ledger_transaction(engine) as connection:
        found = get_request(connection, request_id)
    assert found is not None
    return found


def statuses(engine: Engine) -> list[str]:
    """Of all requests, in `seq` order."""
    return [row.status for row in ledger(engine)]


def ledger(engine: Engine) -> list[Row[Any]]:
    """Every row, in `seq` order."""
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM release_requests ORDER BY seq")))


def claim(engine: Engine, request_id: str, *, worker: str = "worker-lost", lease: float = 600.0) -> Claim:
    """Claim the head of the request's mailbox for a worker that is never heard of again."""
    asked = record(engine, request_id).ticket
    with ledger_transaction(engine) as connection:
        claimed = claim_next(connection, asked, worker=worker, lease_seconds=lease, attempts=1_000)
    assert claimed is not None
    return claimed


def end_leases(engine: Engine) -> None:
    """Let every lease run out."""
    _set(engine, "lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")


def make_due(engine: Engine) -> None:
    """Let every wait for a retry be over."""
    _set(engine, "next_attempt_at = now() WHERE next_attempt_at IS NOT NULL")


def grow_old(engine: Engine, seconds: float) -> None:
    """Let so much time pass for every request."""
    moved = ("created_at", "published_at", "next_attempt_at", "lease_until")
    _set(engine, ", ".join(f"{column} = {column} - make_interval(secs => {seconds})" for column in moved))


def _set(engine: Engine, assignments: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE release_requests SET {assignments}"))
