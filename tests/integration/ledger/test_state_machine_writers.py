"""Holds every function that writes to the ledger to docs/state-machine.md: from every state, it makes its transitions
where their guards hold, and nothing else at all."""

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, Row, text

from release_worker.domain.request_record import Claim, RequestRecord
from release_worker.domain.requests.create_release import CreateRelease
from release_worker.errors import LockUnavailable, WorkerLost
from release_worker.state.registry import built_in_components
from release_worker.store import accepting, accepting_together, at_once, requests, sweeping
from release_worker.store.requests import record_of
from tests.support.state_machine import transitions_of_the_page

TABLE = transitions_of_the_page()
ATTEMPTS = 3
STATES = ("queued", "running", "succeeded", "failed")


@dataclass(frozen=True)
class Situation:
    """A row, in whatever combination, plausible or not; the claim at hand is that of attempt 2 of 3."""

    status: str
    attempts: int
    lease: str | None
    due: str | None

    @property
    def claimable(self) -> bool:
        if self.status == "queued":
            return self.due != "later"
        return self.status == "running" and self.lease == "over" and self.attempts < ATTEMPTS

    @property
    def ours(self) -> bool:
        return self.status == "running" and self.attempts == 2


SITUATIONS = [
    Situation(*values) for values in product(STATES, (0, 2, 3), (None, "good", "over"), (None, "past", "later"))
]
REQUEST = CreateRelease(toolset="acme/payments/billing", actor="x")
ERROR = LockUnavailable(toolset_id="x")
TOOLSET_ID = UUID(int=1)
AT_ONCE = at_once.at_once_statement({component.name: component.capture() for component in built_in_components()})
CLAIM = Claim("id", "create_release", 2, REQUEST.payload(), TOOLSET_ID)

Call = Callable[[Connection, RequestRecord], object]
Outcome = Callable[[Situation], bool]

# Each writer: the call, when it does something, the transitions it may make, and the columns it may touch besides.
WRITERS: Mapping[str, tuple[Call, Outcome, list[str], set[str]]] = {
    "accept_request": (
        lambda c, _: accepting.accept_request(c, REQUEST, request_id="id"),
        lambda _: False,
        ["accept", "refuse"],
        set(),
    ),
    "accept_together": (
        lambda c, _: accepting_together.accept_together(c, [accepting_together.Asked("id", TOOLSET_ID, REQUEST)]),
        lambda _: False,
        ["accept"],
        set(),
    ),
    "refuse_request": (
        lambda c, _: accepting.refuse_request(c, accepting.Refusal("id", "create_release", {}, "x", ERROR)),
        lambda _: False,
        ["refuse"],
        set(),
    ),
    "claim_next": (
        lambda c, r: requests.claim_next(c, r.ticket, worker="w", lease_seconds=9, attempts=ATTEMPTS),
        lambda row: row.claimable,
        ["claim", "claim again"],
        set(),
    ),
    "renew_lease": (
        lambda c, _: requests.renew_lease(c, CLAIM, lease_seconds=9),
        lambda row: row.ours,
        [],
        {"lease_until"},
    ),
    # Nothing, where there is no release yet; test_at_once.py has the others.
    "write_release_at_once": (
        lambda c, r: at_once.write_release_at_once(c, AT_ONCE, at_once.Trial(r.id, TOOLSET_ID, REQUEST, "w")),
        lambda _: False,
        [],
        set(),
    ),
    "succeed": (lambda c, _: requests.succeed(c, CLAIM, {}), lambda row: row.ours, ["succeed"], set()),
    "fail": (lambda c, _: requests.fail(c, CLAIM, ERROR), lambda row: row.ours, ["fail"], set()),
    "postpone": (
        lambda c, _: requests.postpone(c, CLAIM, ERROR, delay_seconds=9),
        lambda row: row.ours,
        ["postpone"],
        set(),
    ),
    "abandon": (
        lambda c, _: requests.abandon(c, "id", ERROR),
        lambda row: row.status == "queued",
        ["abandon", "cancel"],
        set(),
    ),
    "take_overdue": (
        lambda c, _: sweeping.take_overdue(c, patience_seconds=60, limit=9),
        lambda row: (
            (row.status == "queued" and row.due != "later") or (row.status == "running" and row.lease == "over")
        ),
        [],
        {"published_at"},
    ),
    "fail_exhausted": (
        lambda c, _: sweeping.fail_exhausted(c, attempts=ATTEMPTS, error=WorkerLost(attempts=ATTEMPTS)),
        lambda row: row.status == "running" and row.lease == "over" and row.attempts == ATTEMPTS,
        ["exhaust"],
        set(),
    ),
    "requeue_failed": (
        lambda c, _: sweeping.requeue_failed(c, "id"),
        lambda row: row.status == "failed",
        ["retry"],
        set(),
    ),
}


def writers_in(module: ModuleType) -> set[str]:
    """The functions of a module that write to the ledger by themselves or through its private ones."""
    functions = {name: value for name, value in vars(module).items() if inspect.getmodule(value) is module}
    sources = {name: inspect.getsource(value) for name, value in functions.items() if inspect.isfunction(value)}
    writing = {
        name
        for name, source in sources.items()
        if re.search("UPDATE ours.release_requests|INSERT INTO|parsed.ACCEPT|parsed.statement", source)
    }
    through = {name for name, source in sources.items() if any(f"{private}(" in source for private in writing)}
    return {name for name in writing | through if not name.startswith("_")}


WRITING = (accepting, accepting_together, at_once, requests, sweeping)


def test_every_function_that_writes_to_the_ledger_is_tried_here() -> None:
    found = {name for module in WRITING for name in writers_in(module)}
    assert found == WRITERS.keys()


@pytest.mark.parametrize("writer", WRITERS)
def test_from_every_state_a_writer_makes_its_transitions_and_no_other(engine: Engine, writer: str) -> None:
    call, does_something, transitions, besides = WRITERS[writer]
    allowed = {TABLE[name] for name in transitions}
    with engine.connect() as connection:
        for situation in SITUATIONS:
            before, after = _tried(connection, situation, call)
            changed = {name for name in before._fields if getattr(before, name) != getattr(after, name)}
            assert bool(changed) == does_something(situation), situation
            if changed and not changed <= besides:
                assert (before.status, after.status) in allowed, situation


def _tried(connection: Connection, situation: Situation, call: Call) -> tuple[Row[Any], Row[Any]]:
    """The row before and after the call, which is undone."""
    insert = """
        INSERT INTO release_requests (
            id, kind, toolset_id, payload, requested_by, status, attempts, lease_until, next_attempt_at, created_at,
            worker)
        VALUES ('id', 'create_release', :toolset_id, CAST(:payload AS jsonb), 'x', :status, :attempts,
                now() + CAST(:lease AS interval), now() + CAST(:due AS interval), now() - interval '1 hour', 'before')
    """
    values = {
        "toolset_id": TOOLSET_ID,
        "payload": REQUEST.model_dump_json(exclude={"idempotency_key"}),
        "status": situation.status,
        "attempts": situation.attempts,
        "lease": {"good": "1 hour", "over": "-1 hour", None: None}[situation.lease],
        "due": {"later": "1 hour", "past": "-30 minutes", None: None}[situation.due],
    }
    query = text("SELECT * FROM release_requests")
    try:
        connection.execute(text(insert), values)
        record = record_of(connection.execute(text(f"SELECT {requests.COLUMNS} FROM release_requests")).one())
        before = connection.execute(query).one()
        with suppress(LockUnavailable):
            call(connection, record)
        return before, connection.execute(query).one()
    finally:
        connection.rollback()
