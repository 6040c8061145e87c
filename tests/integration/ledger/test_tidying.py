"""Requests that ended long ago leave the ledger, unless something names them; a key that is used at that moment serves
one request or the other, and never none."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, text

from release_worker import ReleaseClient
from release_worker.domain.requests.kinds import validate_request
from release_worker.embedded.process import eventually
from release_worker.errors import InvalidRequest, RequestNotFound, VersionConflict
from release_worker.operations.retry_request import retry_request
from release_worker.operations.tidy import TidyPolicy, tidy
from release_worker.settings import Settings
from release_worker.store.accepting import accept_request
from release_worker.store.accepting_together import Asked, accept_together
from release_worker.store.engine import ledger_transaction, make_engine, single_statement
from release_worker.store.forgetting import forget_requests
from release_worker.worker.runtime import Runtime
from tests.support.billing import a_full_toolset, edit_everything
from tests.support.ledger import ask, grow_old, mailbox
from tests.support.operations import ACTOR
from tests.support.plug_ins import Once
from tests.support.records import releases_of
from tests.support.servers import Servers
from tests.support.world import Toolset

MONTH = 30 * 86_400
POLICY = TidyPolicy(keep=timedelta(days=7))


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


@pytest.fixture
def others(database_url: str) -> Iterator[Engine]:
    """The connections of other processes."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


def done(engine: Engine, toolset: Toolset, kind: str, **fields: Any) -> str:
    """A request of this kind, worked; its id."""
    return mailbox(engine).work_until_done(ask(engine, toolset, kind, **fields)).id


def age(engine: Engine) -> None:
    """Let a month pass for every request."""
    grow_old(engine, MONTH)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET finished_at = finished_at - interval '30 days'"))


def left(engine: Engine) -> set[str]:
    """The ids of all requests."""
    with engine.connect() as connection:
        return set(connection.execute(text("SELECT id FROM release_requests")).scalars())


def test_old_requests_that_nothing_names_are_deleted_and_counted_by_kind_and_status(
    engine: Engine, billing: Toolset
) -> None:
    for kind in ("check_drift", "verify", "verify"):
        done(engine, billing, kind)
    failed = done(engine, billing, "pin", release_number=7)
    age(engine)
    young = {done(engine, billing, "verify"), failed} - {failed}
    deleted = tidy(engine, POLICY)
    assert deleted == {("check_drift", "succeeded"): 1, ("verify", "succeeded"): 2, ("pin", "failed"): 1}
    assert left(engine) == young


def test_what_a_release_a_rollback_or_a_mark_names_stays_as_long_as_that(engine: Engine, billing: Toolset) -> None:
    release = done(engine, billing, "create_release")
    edit_everything(billing)
    rollback = done(engine, billing, "rollback", release_number=1)
    billing.edit(description="x")
    repair = done(engine, billing, "repair")
    mark = done(engine, billing, "mark", release_number=1, mark="good")
    unneeded = done(engine, billing, "create_release", only_if_changed=True)
    age(engine)
    assert tidy(engine, POLICY) == {("create_release", "succeeded"): 1}
    assert left(engine) == {release, rollback, repair, mark}
    assert unneeded not in left(engine)


def test_the_request_of_a_release_goes_after_the_release_was_pruned(engine: Engine, billing: Toolset) -> None:
    requests = []
    for number in range(3):
        billing.edit(settings={"number": number})
        requests.append(done(engine, billing, "create_release"))
    pruned = done(engine, billing, "prune", keep=1)
    assert [row.release_number for row in releases_of(engine, billing)] == [3]
    age(engine)
    tidy(engine, POLICY)
    assert left(engine) == {requests[2]}
    assert pruned not in left(engine)


@pytest.mark.parametrize("status", ["queued", "running"])
def test_a_request_that_has_not_ended_stays_however_old(engine: Engine, billing: Toolset, status: str) -> None:
    asked = ask(engine, billing)
    age(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET status = :status"), {"status": status})
    assert tidy(engine, POLICY) == {}
    assert left(engine) == {asked}


def plan(engine: Engine, billing: Toolset) -> str:
    """The plan of a rollback to release 1, from release 2."""
    done(engine, billing, "create_release")
    billing.edit(description="edited")
    done(engine, billing, "create_release")
    return done(engine, billing, "rollback", release_number=1, dry_run=True)


def test_a_plan_that_may_still_be_applied_stays(engine: Engine, billing: Toolset) -> None:
    planned = plan(engine, billing)
    age(engine)
    tidy(engine, POLICY)
    assert planned in left(engine)
    applied = mailbox(engine).work_until_done(ask(engine, billing, "apply_plan", plan_id=planned))
    assert applied.status == "succeeded", applied.error


def test_a_plan_of_a_toolset_without_a_current_release_stays_too(engine: Engine, billing: Toolset) -> None:
    done(engine, billing, "create_release")
    billing.edit(current_release_id=None)
    planned = done(engine, billing, "rollback", release_number=1, dry_run=True)
    age(engine)
    tidy(engine, POLICY)
    assert planned in left(engine)


@pytest.mark.parametrize("moves", ["another release", "the toolset is deleted"])
def test_a_plan_that_cannot_be_applied_any_more_goes(engine: Engine, billing: Toolset, moves: str) -> None:
    planned = plan(engine, billing)
    billing.delete() if moves == "the toolset is deleted" else done(engine, billing, "create_release")
    age(engine)
    tidy(engine, POLICY)
    assert planned not in left(engine)


def test_a_plan_that_a_waiting_request_applies_stays_in_any_case(engine: Engine, billing: Toolset) -> None:
    planned = plan(engine, billing)
    done(engine, billing, "create_release")
    age(engine)
    waiting = ask(engine, billing, "apply_plan", plan_id=planned)
    tidy(engine, POLICY)
    assert {planned, waiting} <= left(engine)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.999, None])
def test_every_row_has_its_turn_wherever_a_pass_begins_and_whatever_stays_between(
    engine: Engine, billing: Toolset, place: float | None
) -> None:
    kept = set()
    for number in range(12):
        done(engine, billing, "check_drift")
        if number % 4 == 0:
            billing.edit(settings={"number": number})
            kept.add(done(engine, billing, "create_release"))
    age(engine)
    young = done(engine, billing, "verify")
    deleted = tidy(engine, TidyPolicy(keep=POLICY.keep, batch=2), place=place)
    assert deleted == {("check_drift", "succeeded"): 12}
    assert left(engine) == {*kept, young}


def test_a_batch_looks_at_so_many_rows_and_no_more(engine: Engine, billing: Toolset) -> None:
    for _ in range(5):
        done(engine, billing, "verify")
    age(engine)
    week = timedelta(days=7)
    with ledger_transaction(engine) as connection:
        first = forget_requests(connection, after=0, older_than=week, size=2)
        assert first.looked_until is not None
        second = forget_requests(connection, after=first.looked_until, older_than=week, size=2)
    assert [sum(one.deleted.values()) for one in (first, second)] == [2, 2]
    assert len(left(engine)) == 1


def test_a_pass_that_has_no_time_left_ends(engine: Engine, billing: Toolset) -> None:
    done(engine, billing, "verify")
    age(engine)
    assert tidy(engine, TidyPolicy(keep=POLICY.keep, longest=0.0)) == {}


def test_any_number_of_passes_at_once_delete_each_row_once(engine: Engine, billing: Toolset) -> None:
    for _ in range(30):
        done(engine, billing, "verify")
    age(engine)
    policy = TidyPolicy(keep=POLICY.keep, batch=3)
    with ThreadPoolExecutor(4) as threads:
        passes = list(threads.map(lambda _: tidy(engine, policy), range(4)))
    assert sum(one.get(("verify", "succeeded"), 0) for one in passes) + len(left(engine)) == 30
    tidy(engine, policy)
    assert left(engine) == set()


def test_for_ever_means_for_ever(engine: Engine, database_url: str, billing: Toolset) -> None:
    done(engine, billing, "verify")
    age(engine)
    urls = {"database_url": database_url, "broker_url": "redis://127.0.0.1"}
    runtime = Runtime(Settings.model_validate({**urls, "keep_requests_days": 0}))
    assert runtime.tidy() == {}
    runtime.close()
    runtime = Runtime(Settings.model_validate({**urls, "keep_requests_days": 31}))
    assert runtime.tidy() == {}
    runtime.close()
    runtime = Runtime(Settings.model_validate({**urls, "keep_requests_days": 29}))
    assert runtime.tidy() == {("verify", "succeeded"): 1}
    runtime.close()


# Beside others.
def test_a_request_that_is_being_retried_is_passed_by_and_one_that_is_deleted_cannot_be(
    engine: Engine, others: Engine, billing: Toolset
) -> None:
    failed = done(engine, billing, "pin", release_number=7)
    age(engine)
    with ledger_transaction(others) as connection:
        retry_request(connection, failed)
        assert tidy(engine, POLICY) == {}
    assert tidy(engine, POLICY) == {}
    mailbox(engine).work_until_done(failed)
    age(engine)
    with ThreadPoolExecutor() as threads, ledger_transaction(engine) as connection:
        forget_requests(connection, after=0, older_than=timedelta(days=7), size=10)
        retried = threads.submit(_retry, others, failed)
        connection.commit()
        with pytest.raises((RequestNotFound, InvalidRequest)):
            retried.result()
    assert left(engine) == set()


def _retry(engine: Engine, request_id: str) -> None:
    with ledger_transaction(engine) as connection:
        retry_request(connection, request_id)


def test_a_key_is_forgotten_with_its_request(
    engine: Engine, servers: Servers, database_url: str, billing: Toolset
) -> None:
    with ReleaseClient(broker_url=servers.broker_url, database_url=database_url) as client:
        first = client.create_release(billing.path, actor=ACTOR, idempotency_key="k", expected_current_release=9)
        mailbox(engine).work_until_done(first.id)
        age(engine)
        tidy(engine, POLICY)
        second = client.create_release(billing.path, actor=ACTOR, idempotency_key="k", notes="another")
    assert left(engine) == {second.id}
    assert second.id != first.id


Accept = Callable[[Engine, Toolset, str], str]


def accepted(engine: Engine, toolset: Toolset, request_id: str) -> str:
    with single_statement(engine) as connection:
        return accept_request(connection, _with_key(toolset), request_id=request_id).record.id


def accepted_together(engine: Engine, toolset: Toolset, request_id: str) -> str:
    with ledger_transaction(engine) as connection:
        [record] = accept_together(connection, [Asked(request_id, toolset.id, _with_key(toolset))])
        return record.id


def _with_key(toolset: Toolset) -> Any:
    return validate_request("verify", {"toolset": toolset.path, "actor": ACTOR, "idempotency_key": "k"})


both_ways = pytest.mark.parametrize("accept", [accepted, accepted_together])


@both_ways
def test_a_key_that_is_used_while_its_request_is_being_deleted_waits_and_serves_the_new_request(
    engine: Engine, others: Engine, billing: Toolset, accept: Accept
) -> None:
    old = done(engine, billing, "verify", idempotency_key="k")
    age(engine)
    with ThreadPoolExecutor() as threads, engine.connect() as deleting:
        with deleting.begin():
            forget_requests(deleting, after=0, older_than=timedelta(days=7), size=10)
            asking = threads.submit(accept, others, billing, "new")
            assert eventually(lambda: _somebody_waits(others), within=30)
        assert asking.result(30) == "new"
    assert left(engine) == {"new"}
    assert old != "new"


def test_a_key_whose_request_is_deleted_between_two_looks_serves_the_new_request(
    engine: Engine, others: Engine, billing: Toolset
) -> None:
    """The insert finds the key taken, and the look at who has it comes too late."""
    done(engine, billing, "verify", idempotency_key="k")
    age(engine)
    once = Once(lambda: tidy(others, POLICY))

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "ORDER BY id = " in statement:
            once()

    event.listen(engine, "before_cursor_execute", before)
    assert accepted_together(engine, billing, "new") == "new"
    assert left(others) == {"new"}


def test_clients_that_repeat_a_key_while_its_request_is_deleted_get_one_new_request(
    engine: Engine, servers: Servers, database_url: str, billing: Toolset
) -> None:
    """All get one request, old or new, and never two that are new, wherever the deletion falls."""
    with ReleaseClient(broker_url=servers.broker_url, database_url=database_url) as client:
        for round_number in range(8):
            key = f"k-{round_number}"
            mailbox(engine).work_until_done(
                client.create_release(billing.path, actor=ACTOR, idempotency_key=key, expected_current_release=9).id
            )
            age(engine)
            together = threading.Barrier(5)

            def asked(key: str = key, together: threading.Barrier = together) -> str:
                together.wait()
                return client.create_release(
                    billing.path, actor=ACTOR, idempotency_key=key, expected_current_release=9
                ).id

            def tidied(together: threading.Barrier = together) -> str:
                together.wait()
                tidy(engine, POLICY)
                return ""

            with ThreadPoolExecutor(5) as threads:
                ids = {one.result() for one in [threads.submit(work) for work in (asked, asked, tidied, asked, asked)]}
            with engine.connect() as connection:
                count = text("SELECT count(*) FROM release_requests WHERE idempotency_key = :key")
                assert connection.execute(count, {"key": key}).scalar_one() <= 1
            assert len(ids - {""}) <= 2  # the old one before it was deleted, and the new one


def _somebody_waits(engine: Engine) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with engine.connect() as connection:
        return bool(connection.execute(text(query)).scalar_one())


def test_who_is_never_done_with_deleting_is_told(engine: Engine, billing: Toolset) -> None:
    """A key that is taken at each look and gone at each next one: a conflict, which is tried again later."""
    deleting = make_engine(engine.url.render_as_string(hide_password=False))
    done(engine, billing, "verify", idempotency_key="k")

    def swap(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        """Another request has the key when it is inserted; none when it is looked for."""
        with deleting.begin() as connection:
            connection.execute(text("DELETE FROM release_requests"))
            if "release_requests (id, kind" in statement:
                insert = "INSERT INTO release_requests (id, kind, toolset_id, idempotency_key, requested_by)"
                values = {"id": str(uuid4()), "toolset_id": billing.id}
                connection.execute(text(f"{insert} VALUES (:id, 'verify', :toolset_id, 'k', 'x')"), values)

    event.listen(engine, "before_cursor_execute", swap)
    with pytest.raises(VersionConflict):
        accepted_together(engine, billing, "new")
    deleting.dispose()
