"""What happens when two rules meet: a prune and a request that names what it is about to take; and a request that comes
before another one that is at work already."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, text

from release_worker.domain.requests.kinds import validate_request
from release_worker.embedded.process import eventually
from release_worker.errors import TransientError
from release_worker.store.accepting import accept_request
from release_worker.store.engine import make_engine
from release_worker.worker.policy import LeasePolicy, RetryPolicy
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.ledger import ask, mailbox, record
from tests.support.live_state import live_state
from tests.support.operations import ACTOR, drift, release
from tests.support.plug_ins import Once, interrupted_by
from tests.support.records import assert_numbers_and_chain_complete, current_number, releases_of, rollbacks_of
from tests.support.world import Toolset

LAPSED = LeasePolicy(lease=0.01, renew_every=600.0)
ONCE = RetryPolicy(immediate_tries=1, first_delay=0.0, attempts=10)


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@pytest.fixture
def others(database_url: str) -> Iterator[Engine]:
    """The connections of other processes."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def before_the_deletion(engine: Engine, action: Callable[[], object]) -> None:
    """Once a prune of this engine has chosen what to take, and before it takes it."""
    once = Once(action)

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "DELETE FROM" in statement and ".toolset_releases WHERE id" in statement:
            once()

    event.listen(engine, "before_cursor_execute", look)


def test_a_rollback_accepted_after_a_prune_chose_its_target_finds_no_release_and_changes_nothing(
    engine: Engine, others: Engine, billing: Toolset
) -> None:
    """The order is that of the ledger: the prune was asked first. Its choice knows all that was accepted before it;
    what is accepted afterwards is told that the release is gone, as it would be a moment later."""
    for number in range(3):
        billing.edit(settings={"number": number})
        release(engine, billing)
    before = live_state(engine, billing)
    prune = ask(engine, billing, "prune", keep=1)
    asked: list[str] = []
    before_the_deletion(engine, lambda: asked.append(ask(others, billing, "rollback", release_number=1)))

    pruned = mailbox(engine).work_until_done(prune)
    [rollback] = asked
    missed = mailbox(engine).work_until_done(rollback)

    assert pruned.result is not None
    assert pruned.result["pruned"] == [1, 2]
    assert (missed.status, missed.error and missed.error["type"]) == ("failed", "ReleaseNotFound")
    assert live_state(engine, billing) == before
    assert (current_number(engine, billing), rollbacks_of(engine, billing)) == (3, [])


def test_a_rollback_accepted_before_a_prune_chooses_keeps_its_target_although_it_runs_later(
    engine: Engine, billing: Toolset
) -> None:
    """Its `seq` is higher, and the prune runs first."""
    for number in range(3):
        billing.edit(settings={"number": number})
        release(engine, billing)
    prune = ask(engine, billing, "prune", keep=1)
    rollback = ask(engine, billing, "rollback", release_number=1)

    assert mailbox(engine).work_until_done(prune).result == {
        "toolset_id": str(billing.id), "pruned": [2], "kept": 2,
    }  # fmt: skip
    assert mailbox(engine).work_until_done(rollback).status == "succeeded"


@pytest.mark.parametrize("kind", ["create_release", "rollback"])
def test_without_redis_a_lower_seq_may_start_while_an_operation_outlasts_its_lease_and_takes_effect_after_it(
    engine: Engine, others: Engine, billing: Toolset, kind: str
) -> None:
    """A request whose caller commits late has a lower `seq` than others that were accepted, and may be at work, before
    it. It is claimed once their lease has run out, because it is the head of the mailbox; the toolset's row then keeps
    it waiting. So the order of `seq` is given up between these two, and nothing else: each has its effect once, one
    after the other. With Redis, the toolset's lock is renewed, and it is not even started."""
    release(engine, billing)
    edit_everything(billing)
    named = {"release_number": 1, "allow_shared_impact": True} if kind == "rollback" else {}
    late = str(uuid4())
    with others.connect() as caller:
        accept_request(
            caller, validate_request("create_release", {"toolset": billing.path, "actor": ACTOR}), request_id=late
        )
        running = ask(engine, billing, kind, **named)

        def overtake() -> None:
            assert eventually(lambda: lease_has_lapsed(others, running), within=10)
            caller.commit()
            with suppress(TransientError):
                mailbox(others, worker="worker-b", retry=ONCE, leases=LAPSED).work_until_done(late)

        slow = mailbox(engine, leases=LAPSED, registry=interrupted_by(Once(overtake)))
        assert slow.work_until_done(running).status == "succeeded"
    started = record(engine, late)
    done = mailbox(engine).work_until_done(late)

    assert started.seq < record(engine, running).seq
    assert (started.status, started.attempts) == ("queued", 1)
    assert done.status == "succeeded"
    made = [row.request_id for row in releases_of(engine, billing) if row.request_id is not None]
    assert made == [running, late]  # of the rollback, it is the backup
    assert len(rollbacks_of(engine, billing)) == (kind == "rollback")
    assert_numbers_and_chain_complete(engine, billing)
    assert not drift(engine, billing).drifted


def lease_has_lapsed(engine: Engine, request_id: str) -> bool:
    query = "SELECT lease_until < clock_timestamp() FROM release_requests WHERE id = :id AND status = 'running'"
    with engine.connect() as connection:
        return connection.execute(text(query), {"id": request_id}).scalar() is True
