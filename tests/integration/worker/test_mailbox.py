"""A toolset's mailbox: its requests one at a time, in the order in which they were asked, each to its end."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import Engine
from structlog.testing import capture_logs

from release_worker.domain.outcomes import Failed
from release_worker.domain.requests.create_release import CreateReleaseResult
from release_worker.domain.requests.rollback import RollbackResult
from release_worker.embedded.process import eventually
from release_worker.errors import (
    ComponentFailed,
    DatabaseUnavailable,
    LockUnavailable,
    OperationTimeout,
    ReleaseNotFound,
    ToolsetNotFound,
    TransientError,
    UnexpectedFailure,
    VersionConflict,
    WorkerLost,
)
from release_worker.worker.policy import LeasePolicy
from tests.support.billing import INVOICE, a_full_toolset
from tests.support.ledger import (
    LATER,
    WorkedMailbox,
    ask,
    claim,
    end_leases,
    ledger,
    mailbox,
    make_due,
    record,
    statuses,
)
from tests.support.plug_ins import Interruption, Once, interrupted_by, raising, with_plug_ins
from tests.support.records import assert_numbers_and_chain_complete, releases_of
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def makers(engine: Engine, toolset: Toolset) -> list[str]:
    """The requests that the toolset's releases came from, by release number."""
    return [row.request_id for row in releases_of(engine, toolset)]


def test_requests_are_worked_in_the_order_in_which_they_were_asked(engine: Engine, billing: Toolset) -> None:
    asked = [ask(engine, billing, notes=str(number)) for number in range(5)]
    mailbox(engine).work_until_done(asked[-1])
    assert makers(engine, billing) == asked
    assert statuses(engine) == ["succeeded"] * 5
    finished = [row.finished_at for row in ledger(engine)]
    assert finished == sorted(finished)


def test_a_task_leaves_what_was_asked_after_its_own_to_other_tasks(engine: Engine, billing: Toolset) -> None:
    asked = [ask(engine, billing) for _ in range(3)]
    mailbox(engine).work_until_done(asked[1])
    assert statuses(engine) == ["succeeded", "succeeded", "queued"]


def test_the_stored_result_is_that_of_the_operation(engine: Engine, billing: Toolset) -> None:
    worked = mailbox(engine)
    made = worked.work_until_done(ask(engine, billing)).answer()
    billing.move_tool(INVOICE, 9)
    undone = worked.work_until_done(ask(engine, billing, "rollback", release_number=1)).answer()
    assert isinstance(made, CreateReleaseResult)
    assert isinstance(undone, RollbackResult)
    [stored, backup] = releases_of(engine, billing)
    assert (made.release_id, made.release_number, made.digest) == (stored.id, 1, stored.digest)
    assert (undone.to_release_number, undone.backup_release_number) == (1, backup.release_number)
    assert undone.changes["tools"].changed[0]["fields"] == {"position": {"old": 9, "new": 0}}


def test_a_request_that_fails_for_good_does_not_block_the_next(engine: Engine, billing: Toolset) -> None:
    hopeless = ask(engine, billing, "rollback", release_number=99)
    fine = ask(engine, billing)
    assert mailbox(engine).work_until_done(fine).status == "succeeded"
    failed = record(engine, hopeless)
    assert (failed.status, failed.attempts) == ("failed", 1)
    with pytest.raises(ReleaseNotFound) as raised:
        failed.answer()
    assert raised.value.details == {"toolset": billing.path, "release_number": 99}


def test_a_request_for_an_unknown_toolset_has_failed_when_it_is_asked(engine: Engine, billing: Toolset) -> None:
    unknown = record(engine, ask(engine, "acme/payments/nothing"))
    assert (unknown.status, unknown.toolset_id, unknown.attempts) == ("failed", None, 0)
    assert unknown.finished_at is not None
    outcome = mailbox(engine).work(unknown)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ToolsetNotFound)
    assert outcome.error.details == {"toolset": "acme/payments/nothing"}


@pytest.mark.parametrize(
    "defect",
    [RuntimeError("boom \x00 \ud800"), KeyError("flags"), AssertionError(), MemoryError(), TypeError("é" * 5000)],
    ids=lambda defect: type(defect).__name__,
)
def test_a_plug_in_that_breaks_fails_that_request_and_no_other(
    engine: Engine, billing: Toolset, defect: Exception
) -> None:
    first, second = ask(engine, billing), ask(engine, billing)
    broken = mailbox(engine, registry=interrupted_by(Once(raising(defect))))
    with capture_logs():
        assert broken.work_until_done(second).status == "succeeded"
    failed = record(engine, first)
    assert failed.attempts == 1
    with pytest.raises(UnexpectedFailure, match=type(defect).__name__):
        failed.answer()
    assert makers(engine, billing) == [second]


def test_a_plug_in_whose_sql_breaks_fails_that_request_and_no_other(engine: Engine, billing: Toolset) -> None:
    class DividesByZero(Interruption):
        def capture(self) -> str:
            return "to_jsonb(1 / 0)"

    first, second = ask(engine, billing), ask(engine, billing)
    with capture_logs():
        mailbox(engine, registry=with_plug_ins(DividesByZero(lambda: None))).work_until_done(first)
    assert mailbox(engine).work_until_done(second).status == "succeeded"
    with pytest.raises(ComponentFailed, match="interruption failed: division by zero"):
        record(engine, first).answer()


def test_a_conflict_is_tried_again_at_once_within_the_attempt(engine: Engine, billing: Toolset) -> None:
    conflicts = Once(raising(VersionConflict(reason="deadlock")), times=3)
    done = mailbox(engine, registry=interrupted_by(conflicts)).work_until_done(ask(engine, billing))
    assert (done.status, done.attempts) == ("succeeded", 1)
    assert len(releases_of(engine, billing)) == 1


@pytest.mark.parametrize(
    ("raised", "stored"),
    [
        (DatabaseUnavailable(reason="gone"), DatabaseUnavailable),
        (SoftTimeLimitExceeded(), OperationTimeout),
        (VersionConflict(reason="again"), VersionConflict),
    ],
    ids=["database", "timeout", "conflict"],
)
def test_a_transient_failure_puts_the_request_back_with_its_error_and_a_time(
    engine: Engine, billing: Toolset, raised: Exception, stored: type[TransientError]
) -> None:
    asked = ask(engine, billing)
    with pytest.raises(stored), capture_logs():
        mailbox(engine, registry=interrupted_by(raising(raised)), retry=LATER).work_until_done(asked)
    waiting = record(engine, asked)
    assert (waiting.status, waiting.attempts, waiting.worker, waiting.lease_until) == ("queued", 1, None, None)
    assert isinstance(waiting.stored_error(), stored)
    assert waiting.next_attempt_at is not None
    assert waiting.next_attempt_at > waiting.created_at
    assert releases_of(engine, billing) == []


def test_a_postponed_request_blocks_those_behind_it_until_it_is_due(engine: Engine, billing: Toolset) -> None:
    first, second = ask(engine, billing), ask(engine, billing)
    troubled = mailbox(engine, retry=LATER, registry=interrupted_by(Once(raising(DatabaseUnavailable(reason="x")))))
    with capture_logs():
        for _ in range(2):
            with pytest.raises(LockUnavailable):
                troubled.work_until_done(second)
            assert [(row.status, row.attempts) for row in ledger(engine)] == [("queued", 1), ("queued", 0)]
    make_due(engine)
    troubled.work_until_done(second)
    assert makers(engine, billing) == [first, second]


def test_a_postponed_request_does_not_block_other_toolsets(engine: Engine, billing: Toolset) -> None:
    first, elsewhere = ask(engine, billing), ask(engine, billing.project.toolset("other"))
    troubled = mailbox(engine, retry=LATER, registry=interrupted_by(Once(raising(DatabaseUnavailable(reason="x")))))
    with pytest.raises(DatabaseUnavailable), capture_logs():
        troubled.work_until_done(first)
    assert troubled.work_until_done(elsewhere).status == "succeeded"


def test_a_transient_failure_in_the_last_attempt_is_for_good(engine: Engine, billing: Toolset) -> None:
    asked, behind = ask(engine, billing), ask(engine, billing)
    troubles = Once(raising(DatabaseUnavailable(reason="gone")), times=3)
    troubled = mailbox(engine, registry=interrupted_by(troubles))
    with capture_logs():
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):
                troubled.work_until_done(asked)
        failed = troubled.work_until_done(asked)
    assert (failed.status, failed.attempts) == ("failed", 3)
    with pytest.raises(DatabaseUnavailable):
        failed.answer()
    assert troubled.work_until_done(behind).status == "succeeded"


def test_a_request_that_is_the_end_of_each_of_its_workers_fails_and_lets_the_next_pass(
    engine: Engine, billing: Toolset
) -> None:
    deadly, behind = ask(engine, billing), ask(engine, billing)
    for _ in range(3):
        claim(engine, deadly)
        end_leases(engine)
    assert mailbox(engine).work_until_done(behind).status == "succeeded"
    with pytest.raises(WorkerLost, match="3 attempts"):
        record(engine, deadly).answer()
    assert makers(engine, billing) == [behind]


def test_a_task_that_is_delivered_again_gets_the_stored_result(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing)
    first = mailbox(engine).work_until_done(asked)
    again = mailbox(engine, worker="worker-b").work_until_done(asked)
    assert again == first
    assert len(releases_of(engine, billing)) == 1


def test_a_task_whose_turn_is_over_leaves_the_rest_to_a_later_one(engine: Engine, billing: Toolset) -> None:
    asked = [ask(engine, billing) for _ in range(3)]

    def work_for_long() -> None:
        began = time.monotonic()
        assert eventually(lambda: time.monotonic() > began + hurried.turn, within=10)

    hurried = LeasePolicy(turn=0.01)
    slow = mailbox(engine, leases=hurried, registry=interrupted_by(work_for_long))
    for done in (1, 2):
        with pytest.raises(LockUnavailable, match="turn"):
            slow.work_until_done(asked[-1])
        assert statuses(engine) == ["succeeded"] * done + ["queued"] * (3 - done)
    assert slow.work_until_done(asked[-1]).status == "succeeded"
    assert makers(engine, billing) == asked


def test_many_mailboxes_without_any_lock_never_run_a_request_twice(engine: Engine, billing: Toolset) -> None:
    neighbour = billing.project.toolset("neighbour")
    asked = [ask(engine, toolset) for _ in range(8) for toolset in (billing, neighbour)]
    workers = [mailbox(engine, worker=f"worker-{number}") for number in range(4)]

    def work(worker: WorkedMailbox) -> None:
        for request_id in asked:
            assert eventually(_done(worker, request_id), within=60)

    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(work, workers))
    assert [(row.status, row.attempts) for row in ledger(engine)] == [("succeeded", 1)] * len(asked)
    for toolset, ids in ((billing, asked[::2]), (neighbour, asked[1::2])):
        assert makers(engine, toolset) == ids
        assert_numbers_and_chain_complete(engine, toolset)


def _done(worker: WorkedMailbox, request_id: str) -> Callable[[], bool]:
    def done() -> bool:
        try:
            return worker.work_until_done(request_id).finished
        except LockUnavailable:
            return False

    return done
