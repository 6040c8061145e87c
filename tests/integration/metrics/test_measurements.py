"""What ends is counted once, in the transaction in which it ends; and what was counted never goes back."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from release_worker.domain.timings import STEPS
from release_worker.errors import LockUnavailable, RequestCancelled, WorkerLost
from release_worker.operations.retry_request import retry_request
from release_worker.store.engine import ledger_transaction
from release_worker.store.measuring import BOUNDS, OF_ERRORS, WHOLE, fold
from release_worker.store.requests import abandon, fail, hold, postpone, succeed
from release_worker.store.sweeping import fail_exhausted
from release_worker.worker.lock import toolset_lock_client
from tests.support.billing import INVOICE, a_full_toolset
from tests.support.ledger import ask, claim, end_leases, mailbox, record, redis_locks
from tests.support.metrics import counted, totals, unfolded
from tests.support.metrics import fold as fold_all
from tests.support.servers import Servers
from tests.support.world import Toolset, World

ENDS = ("requests", "attempts", "retries", *OF_ERRORS)


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def test_a_release_is_counted_with_its_request_and_its_attempt(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).work_until_done(ask(engine, billing))
    assert counted(engine) == {
        "attempts create_release succeeded": 1,
        "requests create_release succeeded": 1,
        "releases release": 1,
        **dict.fromkeys((f"{name} create_release" for name in WHOLE), 1),
        "step create_release hold": 1,
        "step create_release capture": 1,
    }


def test_a_rollback_is_counted_with_its_backup_and_each_of_its_steps(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).work_until_done(ask(engine, billing))
    billing.move_tool(INVOICE, 9)
    mailbox(engine).work_until_done(ask(engine, billing, "rollback", release_number=1))
    assert counted(engine, "releases") == {"releases release": 1, "releases backup": 1}
    steps = counted(engine, "step")
    assert {name for name in steps if "rollback" in name} == {f"step rollback {step}" for step in STEPS}
    assert set(steps.values()) == {1}


@pytest.mark.parametrize(
    ("kind", "fields"), [("publish", {}), ("check_drift", {}), ("rollback", {"release_number": 1, "dry_run": True})]
)
def test_other_kinds_are_counted_under_their_names(
    engine: Engine, billing: Toolset, kind: str, fields: dict[str, Any]
) -> None:
    for asked, given_fields in (("create_release", {}), ("stage", {}), (kind, fields)):
        mailbox(engine).work_until_done(ask(engine, billing, asked, **given_fields))
    assert counted(engine, "requests") == {
        "requests create_release succeeded": 1,
        "requests stage succeeded": 1,
        f"requests {kind} succeeded": 1,
    }


def test_a_request_that_is_refused_or_names_nothing_fails_without_an_attempt(engine: Engine) -> None:
    ask(engine, "acme/nothing/here")
    assert counted(engine, *ENDS) == {"failures ToolsetNotFound": 1, "requests create_release failed": 1}


def test_a_failed_attempt_is_counted_with_its_error(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing, "rollback", release_number=7)
    mailbox(engine).work(record(engine, asked))
    assert counted(engine, *ENDS) == {
        "attempts rollback failed": 1,
        "failures ReleaseNotFound": 1,
        "requests rollback failed": 1,
    }
    assert counted(engine, "attempt", "lock_hold") == {"attempt rollback": 1, "lock_hold rollback": 1}


def test_a_cancelled_request_has_no_attempt(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing)
    with ledger_transaction(engine) as connection:
        abandon(connection, asked, RequestCancelled(request_id=asked))
    assert counted(engine, *ENDS) == {"failures RequestCancelled": 1, "requests create_release failed": 1}
    assert counted(engine, *WHOLE) == {"request create_release": 1}


def test_an_attempt_that_is_tried_again_counts_with_its_error_and_its_durations(
    engine: Engine, billing: Toolset
) -> None:
    first = claim(engine, ask(engine, billing))
    with ledger_transaction(engine) as connection:
        assert postpone(connection, first, LockUnavailable(), delay_seconds=0)
    assert counted(engine, *ENDS) == {
        "attempts create_release postponed": 1,
        "postponements LockUnavailable": 1,
    }
    mailbox(engine).work_until_done(first.id)
    assert counted(engine, *ENDS) == {
        "attempts create_release postponed": 1,
        "attempts create_release succeeded": 1,
        "postponements LockUnavailable": 1,
        "requests create_release succeeded": 1,
        "retries create_release": 1,
    }
    assert counted(engine, "attempt", "queue_wait", "request") == {
        "attempt create_release": 2,
        "queue_wait create_release": 1,
        "request create_release": 1,
    }


def test_a_worker_that_went_silent_is_an_expiry_once_and_its_claim_is_not_counted_again(
    engine: Engine, billing: Toolset
) -> None:
    lost = claim(engine, ask(engine, billing))
    end_leases(engine)
    assert counted(engine, "attempts") == {}
    mailbox(engine).work_until_done(lost.id)
    with ledger_transaction(engine) as connection:
        assert not fail(connection, lost, WorkerLost(attempts=1))
    assert counted(engine, *ENDS) == {
        "attempts create_release expired": 1,
        "attempts create_release succeeded": 1,
        "requests create_release succeeded": 1,
        "retries create_release": 1,
    }
    assert counted(engine, "attempt") == {"attempt create_release": 1}


def test_a_request_that_is_given_up_is_an_expiry_too(engine: Engine, billing: Toolset) -> None:
    claim(engine, ask(engine, billing))
    end_leases(engine)
    with ledger_transaction(engine) as connection:
        assert len(fail_exhausted(connection, attempts=1, error=WorkerLost(attempts=1))) == 1
    assert counted(engine, *ENDS) == {
        "attempts create_release expired": 1,
        "failures WorkerLost": 1,
        "requests create_release failed": 1,
    }


def test_a_failure_that_was_written_after_the_lease_had_run_out_is_no_expiry(engine: Engine, billing: Toolset) -> None:
    late = claim(engine, ask(engine, billing))
    end_leases(engine)
    with ledger_transaction(engine) as connection:
        assert fail(connection, late, RequestCancelled(request_id=late.id))
    assert counted(engine, "attempts") == {"attempts create_release failed": 1}


def test_a_failed_request_that_is_brought_back_has_ended_twice(engine: Engine, billing: Toolset) -> None:
    asked = ask(engine, billing, "rollback", release_number=1)
    mailbox(engine).work(record(engine, asked))
    mailbox(engine).work_until_done(ask(engine, billing))
    with ledger_transaction(engine) as connection:
        retry_request(connection, asked)
    mailbox(engine).work_until_done(asked)
    assert counted(engine, "requests", "retries") == {
        "requests create_release succeeded": 1,
        "requests rollback failed": 1,
        "requests rollback succeeded": 1,
    }
    assert counted(engine, "request") == {"request create_release": 1, "request rollback": 1}


def test_what_is_undone_is_not_counted(engine: Engine, billing: Toolset) -> None:
    mine = claim(engine, ask(engine, billing))
    with engine.connect() as connection:
        succeed(connection, mine, {})
        connection.rollback()
    assert counted(engine) == {}


def test_renewing_publishing_and_claiming_measure_nothing(engine: Engine, billing: Toolset) -> None:
    mine = claim(engine, ask(engine, billing))
    with ledger_transaction(engine) as connection:
        hold(connection, mine)
        connection.execute(text("UPDATE release_requests SET lease_until = now(), published_at = now()"))
    assert unfolded(engine) == 0


def test_a_worker_that_measures_nothing_is_counted_all_the_same(engine: Engine, billing: Toolset) -> None:
    """One of the release before, which does not know the column; after an attempt of one that does."""
    first = claim(engine, ask(engine, billing))
    with ledger_transaction(engine) as connection:
        assert postpone(connection, first, LockUnavailable(), delay_seconds=0)
    claim(engine, first.id)
    with ledger_transaction(engine) as connection:
        old = "UPDATE release_requests SET status = 'succeeded', result = '{}', finished_at = clock_timestamp()"
        connection.execute(text(old))
    assert counted(engine, "attempts") == {
        "attempts create_release postponed": 1,
        "attempts create_release succeeded": 1,
    }
    assert counted(engine, "attempt") == {"attempt create_release": 1}


def test_the_wait_for_the_lock_is_measured_once_a_turn_and_its_hold_for_each_request(
    engine: Engine, servers: Servers, billing: Toolset
) -> None:
    asked = [ask(engine, billing) for _ in range(3)]
    with closing(toolset_lock_client(servers.broker(6))) as redis:
        mailbox(engine, make_lock=redis_locks(redis)).work_until_done(asked[-1])
    assert counted(engine, "lock_wait", "lock_hold") == {"lock_wait create_release": 1, "lock_hold create_release": 3}
    seconds = {name: sum(one.seconds for one in totals(engine) if one.name == name) for name in WHOLE}
    assert seconds["attempt"] <= seconds["lock_hold"]


def test_kinds_and_errors_that_nobody_knows_are_counted_together(engine: Engine, billing: Toolset) -> None:
    written = """
        INSERT INTO release_requests (id, kind, toolset_id, status, error, requested_by, finished_at)
        SELECT 'id-' || n, 'kind_' || n, :toolset, 'failed', jsonb_build_object('type', 'Error' || n), 'x', now()
        FROM generate_series(1, 20) AS n
    """
    with engine.begin() as connection:
        connection.execute(text(written), {"toolset": billing.id})
    expected = {"requests other failed": 20, "failures other": 20}
    assert counted(engine, "requests", "failures") == expected
    fold_all(engine)
    assert counted(engine, "requests", "failures") == expected
    assert len(totals(engine)) <= 2 + len(BOUNDS)


def test_folding_changes_no_total(engine: Engine, billing: Toolset) -> None:
    for _ in range(3):
        mailbox(engine).work_until_done(ask(engine, billing))
    before = totals(engine)
    assert fold_all(engine, at_once=2) == 6
    assert (unfolded(engine), totals(engine)) == (0, before)
    mailbox(engine).work_until_done(ask(engine, billing))
    assert counted(engine, "requests") == {"requests create_release succeeded": 4}
    assert fold_all(engine) == 2
    assert counted(engine, "requests", "releases") == {"requests create_release succeeded": 4, "releases release": 4}
    assert fold_all(engine) == 0


def test_a_fold_that_is_undone_has_not_happened(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).work_until_done(ask(engine, billing))
    before, waiting = totals(engine), unfolded(engine)
    with engine.connect() as connection:
        assert fold(connection, limit=100) == waiting
        connection.rollback()
    assert (totals(engine), unfolded(engine)) == (before, waiting)


def test_any_number_of_folds_at_once_count_everything_once_while_requests_go_on(engine: Engine, world: World) -> None:
    toolsets = [world.organization(f"o{n}").project("p").toolset("t") for n in range(3)]
    over = threading.Event()

    def folds() -> None:
        while not over.is_set():
            fold_all(engine, at_once=3)

    with ThreadPoolExecutor(3) as pool:
        folding = [pool.submit(folds) for _ in range(3)]
        for _ in range(5):
            for toolset in toolsets:
                mailbox(engine).work_until_done(ask(engine, toolset))
        over.set()
        for one in folding:
            one.result()
    expected = {"requests create_release succeeded": 15, "releases release": 15}
    assert counted(engine, "requests", "releases") == expected
    fold_all(engine)
    assert (unfolded(engine), counted(engine, "requests", "releases")) == (0, expected)


def test_rows_that_are_deleted_from_the_ledger_stay_counted(engine: Engine, billing: Toolset) -> None:
    for _ in range(2):
        mailbox(engine).work_until_done(ask(engine, billing))
    before = totals(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM release_requests"))
    assert totals(engine) == before


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


def _measured(engine: Engine, seconds: list[float]) -> None:
    insert = """
        INSERT INTO release_measurements (kind, seconds)
        VALUES ('rollback', jsonb_build_object('attempt', CAST(:s AS numeric)))
    """
    with engine.begin() as connection:
        for one in seconds:
            connection.execute(text(insert), {"s": f"{one:.6f}"})


def test_a_duration_belongs_to_the_smallest_bound_that_it_does_not_exceed(engine: Engine) -> None:
    for bound in BOUNDS:
        _measured(engine, [bound, bound + 0.000001])
    found = {total.bound: total.count for total in totals(engine)}
    assert found == dict.fromkeys(BOUNDS[1:], 2) | {BOUNDS[0]: 1, float("inf"): 1}


durations = st.lists(st.integers(0, 10**9).map(lambda micros: micros / 10**6), min_size=1, max_size=12)


def test_the_sum_that_is_shown_never_goes_back(engine: Engine) -> None:
    """A sum of floats may, when its terms are added in another order; a scraper would take that for a new start."""
    shown, left = [0.0], [0]

    @given(durations, st.integers(0, 12))
    def grows(seconds: list[float], at_once: int) -> None:
        _measured(engine, seconds)
        shown.append(sum_of(engine))
        with ledger_transaction(engine) as connection:
            fold(connection, limit=at_once)
        shown.append(sum_of(engine))
        left.append(unfolded(engine))

    grows()
    assert shown == sorted(shown)
    assert max(left) > 0, "some were added when others were not yet"


def sum_of(engine: Engine) -> float:
    """As it is shown: over all bounds, in their order."""
    return sum(total.seconds for total in totals(engine))
