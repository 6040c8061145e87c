"""A release at once writes what the careful way writes; and whatever is not the common case goes the careful way."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from threading import Timer
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, text
from structlog.testing import capture_logs

from release_worker.domain.cancellation import Cancellation
from release_worker.domain.database import in_sql
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.outcomes import Failed, Outcome, Succeeded
from release_worker.domain.request_record import Ticket
from release_worker.errors import Frozen, IdempotencyConflict, LockUnavailable, ToolsetNotFound, TransientError
from release_worker.operations.cancel_request import cancel_request
from release_worker.settings import given_settings
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.worker.inbox import Inbox, Message
from release_worker.worker.lock import RedisToolsetLock, toolset_lock_client
from release_worker.worker.policy import LeasePolicy
from release_worker.worker.runtime import Runtime
from release_worker.worker.tasks import work_message
from release_worker.worker.toolset_lock import NoLock
from tests.support import elsewhere
from tests.support.billing import a_full_toolset, active_deployment, edit_everything
from tests.support.freezes import freeze
from tests.support.ledger import LATER, ask, claim, ledger, mailbox, record, redis_locks, ticket
from tests.support.live_state import live_state
from tests.support.metrics import assert_the_ledger_is_counted, counted
from tests.support.migrating import MIGRATIONS, migrating
from tests.support.operations import release
from tests.support.plug_ins import interrupted_by
from tests.support.records import assert_numbers_and_chain_complete, captured_state, current_number, releases_of
from tests.support.servers import Servers
from tests.support.world import Toolset


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    """Released once."""
    billing = a_full_toolset(engine)
    release(engine, billing)
    return billing


def work(engine: Engine, asked: Ticket) -> tuple[bool, Outcome | None]:
    """Whether it was done at once, and what came of it; None if it is to be tried again later."""
    with capture_logs() as lines:
        try:
            outcome: Outcome | None = mailbox(engine, retry=LATER).work_unseen(asked)
        except TransientError:
            outcome = None
    told = [line["event"] for line in lines if line.get("request_id") == asked.id]
    assert told.count("request_succeeded") == isinstance(outcome, Succeeded)
    return "request_succeeded" in told and "request_started" not in told, outcome


def test_it_writes_what_the_careful_way_writes(engine: Engine) -> None:
    written = []
    for organization, first in (("acme", False), ("zeta", True)):
        billing = a_full_toolset(engine, organization=organization)
        release(engine, billing)
        edit_everything(billing)
        asked = ask(engine, billing, notes="n", labels={"a": 1.50, "b": [None]})
        at_once, _ = work(engine, ticket(engine, asked, first=first))
        assert at_once == first
        assert captured_state(engine, billing, 2) == live_state(engine, billing)
        assert_numbers_and_chain_complete(engine, billing)
        written.append(_told(engine, billing, asked))
    careful, once = written
    assert once == careful
    assert_the_ledger_is_counted(engine)


def _told(engine: Engine, billing: Toolset, request_id: str) -> Mapping[str, Any]:
    """All that the records say of the toolset's last release and of its request, without ids and times."""
    [row] = [row._mapping for row in ledger(engine) if row.id == request_id]
    made = releases_of(engine, billing)[-1]._mapping
    owned = {"toolset_id", "toolset_version_id", "source_state_id", "deployment_id"}
    owned |= {"global_variations_version_id", "toolset_variations_version_id", "request_id", "predecessor_id"}
    events = "SELECT type, data FROM release_events WHERE data ->> 'request_id' = :id"
    with engine.connect() as connection:
        told = [(kind, sorted(data)) for kind, data in connection.execute(text(events), {"id": request_id})]
    result = {name: value for name, value in row["result"].items() if not name.endswith("_id")}
    timed = {"finished_at", "created_at", "started_at", "published_at"}
    assert row["created_at"] <= row["started_at"] <= row["finished_at"]
    assert {"attempt", "capture", "lock_wait", "lock_hold"} <= set(row["timings"])
    return {
        "result": result,
        "kinds": {name: type(value).__name__ for name, value in row["result"].items()},
        "request": {name: row[name] for name in ("kind", "status", "attempts", "error", "worker", "next_attempt_at")},
        "release": {name: value for name, value in made.items() if name not in owned | timed | {"id"}},
        "refers": {name: made[name] is None for name in owned},
        "events": told,
    }


ONE_MORE = dict.fromkeys(
    (
        "attempts create_release succeeded",
        "requests create_release succeeded",
        "releases release",
        "attempt create_release",
        "lock_hold create_release",
        "lock_wait create_release",
        "queue_wait create_release",
        "request create_release",
        "step create_release capture",
    ),
    1,
)


def test_it_is_measured_as_any_other(engine: Engine, billing: Toolset) -> None:
    before = counted(engine)
    assert work(engine, ticket(engine, ask(engine, billing), first=True))[0]
    now = counted(engine)
    assert {name: now[name] - before.get(name, 0) for name in now if now[name] != before.get(name, 0)} == ONE_MORE


def test_a_release_of_what_did_not_change_refers_to_what_is_there(engine: Engine, billing: Toolset) -> None:
    at_once, _ = work(engine, ticket(engine, ask(engine, billing), first=True))
    assert at_once
    first, second = releases_of(engine, billing)
    assert second.toolset_version_id == first.toolset_version_id
    assert (second.digest, second.predecessor_id, second.release_number) == (first.digest, first.id, 2)


def test_the_second_delivery_of_one_that_is_done_finds_it_done(engine: Engine, billing: Toolset) -> None:
    asked = ticket(engine, ask(engine, billing), first=True)
    assert work(engine, asked)[0]
    for first in (True, False):
        again = mailbox(engine).work(record(engine, asked.id), first=first)
        assert again == Succeeded(record(engine, asked.id).result or {})
        assert mailbox(engine).work_unseen(ticket(engine, asked.id, first=first)) is None
    assert current_number(engine, billing) == 2


Prepare = Callable[[Engine, Toolset, str], object]


def _held(statement: str) -> Prepare:
    """Somebody holds a row and does not let it go before the test has looked."""

    def hold(engine: Engine, billing: Toolset, request_id: str) -> object:
        connection = engine.connect()
        connection.begin()
        connection.execute(text(statement), {"toolset": billing.id, "request": request_id})
        return connection

    return hold


def _many_tools(engine: Engine, billing: Toolset, _request: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""INSERT INTO toolset_tools (toolset_id, tool_urn, position)
                    SELECT :id, 'tools:function:billing:' || n, n FROM generate_series(1, :many) AS n"""),
            {"id": billing.id, "many": DEFAULTS.at_once_entries},
        )
    _release_first(engine, billing)


def _a_big_deployment(engine: Engine, billing: Toolset, _request: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""UPDATE tool_definitions SET definition = jsonb_build_object('filling', (
                        SELECT string_agg(md5(n::text), '') FROM generate_series(1, :many) AS n))
                    WHERE deployment_id = :id"""),
            {"id": active_deployment(billing).id, "many": DEFAULTS.at_once_bytes // 30},
        )
    _release_first(engine, billing)


def _release_first(engine: Engine, billing: Toolset) -> None:
    """What is there now is in the current release when the request is worked: its size is known."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET next_attempt_at = now() + interval '1 hour'"))
        connection.execute(text("ALTER TABLE release_requests DISABLE TRIGGER USER"))
        connection.execute(text("UPDATE release_requests SET status = 'failed', error = '{}' WHERE status = 'queued'"))
    release(engine, billing)
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE release_requests SET status = 'queued', next_attempt_at = NULL, error = NULL WHERE error = '{}'"
            )
        )
        connection.execute(text("ALTER TABLE release_requests ENABLE TRIGGER USER"))


def _set(assignment: str) -> Prepare:
    def prepare(engine: Engine, _billing: Toolset, request_id: str) -> None:
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE release_requests SET {assignment} WHERE id = :id"), {"id": request_id})

    return prepare


# What is otherwise than in the common case, and whether the careful way comes to its end at once as well.
OTHERWISE: Mapping[str, tuple[Prepare, bool]] = {
    "it was published again": (_set("published_at = now()"), True),
    "it was tried before": (_set("attempts = 1, attempts_before = 0"), True),
    "it waits for its next attempt": (_set("next_attempt_at = now() + interval '1 hour'"), False),
    "it waited for its next attempt": (_set("next_attempt_at = now()"), True),
    "its row asks for something else": (_set('payload = payload || \'{"notes": "other"}\''), False),
    "somebody works it": (lambda engine, _, request: claim(engine, request), False),
    "an app holds the toolset": (_held("SELECT FROM toolsets WHERE id = :toolset FOR UPDATE"), False),
    "an app holds it for as little as it can": (
        _held("SELECT FROM toolsets WHERE id = :toolset FOR SHARE"),
        False,
    ),
    "somebody holds the request": (_held("SELECT FROM release_requests WHERE id = :request FOR UPDATE"), False),
    "many tools are listed": (_many_tools, True),
    "the deployment is big": (_a_big_deployment, True),
    "a freeze is in force": (lambda _engine, billing, _request: freeze(billing.project), True),
    "the toolset is deleted": (lambda _engine, billing, _request: billing.delete(), True),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_is_otherwise_goes_the_careful_way(engine: Engine, billing: Toolset, case: str) -> None:
    prepare, ends = OTHERWISE[case]
    asked = ticket(engine, ask(engine, billing, notes="mine"), first=True)
    held = prepare(engine, billing, asked.id)
    try:
        numbers = [row.release_number for row in releases_of(engine, billing)]
        at_once, outcome = work(engine, asked)
        assert not at_once
        assert isinstance(outcome, Succeeded | Failed) == ends
        made = [row for row in releases_of(engine, billing) if row.release_number not in numbers]
        assert len(made) == isinstance(outcome, Succeeded)
    finally:
        if held is not None and hasattr(held, "close"):
            held.close()
    assert_numbers_and_chain_complete(engine, billing)


@pytest.mark.parametrize(
    "fields",
    [
        {"only_if_changed": True},
        {"expected_current_release": 1},
        {"override_freeze": "it must be"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_release_with_a_condition_goes_the_careful_way(
    engine: Engine, billing: Toolset, fields: Mapping[str, Any]
) -> None:
    at_once, outcome = work(engine, ticket(engine, ask(engine, billing, **fields), first=True))
    assert not at_once
    assert isinstance(outcome, Succeeded)


def test_so_does_every_other_kind_and_every_other_delivery(engine: Engine, billing: Toolset) -> None:
    for kind, first in product(("rollback", "pin", "create_release"), (True, False)):
        fields = {} if kind == "create_release" else {"release_number": 1}
        at_once, _ = work(engine, ticket(engine, ask(engine, billing, kind, **fields), first=first))
        assert at_once == (kind == "create_release" and first)


def test_so_does_the_first_release_whose_size_nobody_knows(engine: Engine) -> None:
    billing = a_full_toolset(engine)
    at_once, outcome = work(engine, ticket(engine, ask(engine, billing), first=True))
    assert not at_once
    assert isinstance(outcome, Succeeded)


def test_so_does_one_behind_another(engine: Engine, billing: Toolset) -> None:
    before, asked = ask(engine, billing, "pin", release_number=1), ask(engine, billing)
    at_once, outcome = work(engine, ticket(engine, asked, first=True))
    assert not at_once
    assert isinstance(outcome, Succeeded)
    assert record(engine, before).status == "succeeded"


def test_a_release_before_one_that_runs_waits_for_it(engine: Engine, billing: Toolset) -> None:
    """The numbers of requests are given before they are committed."""
    late = engine.connect()
    late.begin()
    insert = """
        INSERT INTO release_requests (id, kind, toolset_id, payload, requested_by)
        VALUES ('late', 'create_release', :id, CAST(:payload AS jsonb), 'x')
    """
    payload = f'{{"toolset": "{billing.path}", "actor": "x"}}'
    late.execute(text(insert), {"id": billing.id, "payload": payload})
    claim(engine, ask(engine, billing))
    late.commit()
    late.close()
    at_once, outcome = work(engine, ticket(engine, "late", first=True))
    assert not at_once
    assert outcome is None
    assert current_number(engine, billing) == 1


def test_a_freeze_is_told_as_ever(engine: Engine, billing: Toolset) -> None:
    freeze(billing.project)
    _, outcome = work(engine, ticket(engine, ask(engine, billing), first=True))
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Frozen)


def test_so_do_all_releases_with_a_plug_in(engine: Engine, billing: Toolset) -> None:
    worker = mailbox(engine, registry=interrupted_by(lambda: None))
    with capture_logs() as lines:
        assert worker.work_unseen(ticket(engine, ask(engine, billing), first=True)) is not None
    assert "request_started" in [line["event"] for line in lines]


def test_hidden_rows_are_refused_as_ever(engine: Engine, billing: Toolset, database_url: str) -> None:
    """A capture of what row-level security leaves would be no capture."""
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE confined LOGIN"))
        schema = in_sql(elsewhere.SCHEMA)
        connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO confined"))
        connection.execute(text(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO confined"))
        connection.execute(text("ALTER TABLE toolset_tools ENABLE ROW LEVEL SECURITY"))
    confined = make_engine(engine.url.set(username="confined").render_as_string(hide_password=False))
    try:
        asked = ticket(engine, ask(engine, billing), first=True)
        at_once, outcome = work(confined, asked)
    finally:
        confined.dispose()
        with engine.begin() as connection:
            connection.execute(text("DROP OWNED BY confined"))
            connection.execute(text("DROP ROLE confined"))
    assert not at_once
    assert outcome is None
    assert "row-level security" in record(engine, asked.id).stored_error().args[0]
    assert current_number(engine, billing) == 1


def test_what_commits_between_its_snapshot_and_its_locks_is_not_paired_with_what_was_before(
    engine: Engine, billing: Toolset
) -> None:
    """An app moves the toolset's row when the statement has its snapshot and not yet the row."""
    asked = ticket(engine, ask(engine, billing), first=True)
    own = make_engine(engine.url.render_as_string(hide_password=False))
    moved: list[Timer] = []

    def dawdle(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> Any:
        if "asked AS MATERIALIZED" in statement:
            moved.append(Timer(0.3, billing.edit, kwargs={"description": "moved meanwhile"}))
            moved[0].start()
            found = "own.status = 'queued'"
            statement = statement.replace(found, f"{found} AND pg_sleep(1) IS NOT NULL", 1)
        return statement, parameters

    event.listen(own, "before_cursor_execute", dawdle, retval=True)
    try:
        at_once, outcome = work(own, asked)
    finally:
        own.dispose()
    moved[0].join()
    assert not at_once
    assert isinstance(outcome, Succeeded)
    assert captured_state(engine, billing, 2) == live_state(engine, billing)


@pytest.mark.parametrize("migration", MIGRATIONS)
def test_a_live_table_that_an_app_migrates_meanwhile_is_captured_whole(
    engine: Engine, billing: Toolset, migration: str
) -> None:
    billing.edit(description="edited")
    asked = ticket(engine, ask(engine, billing), first=True)
    expected = live_state(engine, billing)
    with migrating(engine, MIGRATIONS[migration]):
        _, outcome = work(engine, asked)
    assert isinstance(outcome, Succeeded)
    assert captured_state(engine, billing, 2) == expected


def test_a_freeze_holds_whose_table_an_app_migrates_meanwhile(engine: Engine, billing: Toolset) -> None:
    freeze(billing.project)
    asked = ticket(engine, ask(engine, billing), first=True)
    with migrating(engine, "ALTER TABLE release_freezes ADD COLUMN seen double precision DEFAULT random()"):
        _, outcome = work(engine, asked)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, Frozen)


@pytest.fixture
def runtime(database_url: str, servers: Servers) -> Iterator[Runtime]:
    """A worker's, with its locks."""
    schema = elsewhere.SCHEMA
    made = Runtime(given_settings(database_url=database_url, database_schema=schema, redis_url=servers.redis_url))
    yield made
    made.close()


def plain(billing: Toolset, *, first: bool = True, request_id: str | None = None, **fields: Any) -> Message:
    """A task that was sent without the client, so that no row is written yet."""
    arguments = {"toolset": billing.path, "actor": "tester", **fields}
    return Message(request_id or str(uuid4()), [], arguments, in_ledger=False, first=first)


def deliver(runtime: Runtime, message: Message) -> tuple[bool, Outcome]:
    """Whether it was done at once, and what came of it."""
    with capture_logs() as lines:
        outcome = work_message(runtime, "create_release", message)
    return "request_started" not in [line["event"] for line in lines], outcome


def test_a_plain_message_is_accepted_and_carried_out_in_one_transaction(
    engine: Engine, billing: Toolset, runtime: Runtime
) -> None:
    billing.edit(description="edited")
    message = plain(billing, notes="n", idempotency_key="k")
    at_once, outcome = deliver(runtime, message)
    assert at_once
    assert isinstance(outcome, Succeeded)
    row = next(row for row in ledger(engine) if row.id == message.id)
    assert (row.status, row.attempts, row.idempotency_key, row.payload["notes"]) == ("succeeded", 1, "k", "n")
    assert captured_state(engine, billing, 2) == live_state(engine, billing)
    assert _told(engine, billing, message.id)["events"][0][0] == "release.created"
    for again in (message, plain(billing, notes="n", idempotency_key="k"), replace(message, first=False)):
        assert deliver(runtime, again)[1] == outcome
    assert current_number(engine, billing) == 2
    assert_the_ledger_is_counted(engine)


def test_a_plain_message_with_another_ones_key_is_refused_as_ever(
    engine: Engine, billing: Toolset, runtime: Runtime
) -> None:
    deliver(runtime, plain(billing, notes="n", idempotency_key="k"))
    other = plain(billing, notes="other", idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        deliver(runtime, other)
    assert record(engine, other.id).status == "failed"
    assert current_number(engine, billing) == 2


def test_a_plain_message_for_no_toolset_fails_as_ever(engine: Engine, billing: Toolset, runtime: Runtime) -> None:
    message = plain(billing, toolset="acme/payments/nothing")
    _, outcome = deliver(runtime, message)
    assert isinstance(outcome, Failed)
    assert isinstance(outcome.error, ToolsetNotFound)
    assert record(engine, message.id).status == "failed"


def test_a_plain_message_is_kept_while_its_toolset_is_busy(
    engine: Engine, billing: Toolset, runtime: Runtime, servers: Servers
) -> None:
    message = plain(billing)
    with (
        toolset_lock_client(servers.redis_url) as redis,
        RedisToolsetLock(redis, billing.id, owner="another", ttl=60, wait=0),
        pytest.raises(LockUnavailable),
    ):
        deliver(runtime, message)
    assert record(engine, message.id).status == "queued"
    at_once, outcome = deliver(runtime, replace(message, first=False))
    assert not at_once
    assert isinstance(outcome, Succeeded)


def test_a_plain_message_hears_of_what_was_committed_while_it_waited_for_its_lock(
    engine: Engine, billing: Toolset
) -> None:
    """An answer of Redis may take seconds."""

    def made_late(*_: object) -> NoLock:
        freeze(billing.project)
        return NoLock()

    message = plain(billing)
    arrival = Inbox.arrival("create_release", message)
    assert arrival is not None
    assert mailbox(engine, make_lock=made_late).work_unwritten(arrival) is None
    assert record(engine, message.id).status == "queued"
    assert current_number(engine, billing) == 1


def test_a_plain_message_lets_one_pass_that_was_asked_before_and_is_committed_while_it_waits(
    engine: Engine, billing: Toolset
) -> None:
    insert = """
        INSERT INTO release_requests (id, kind, toolset_id, payload, requested_by)
        VALUES ('earlier', 'create_release', :id, CAST(:payload AS jsonb), 'x')
    """
    with engine.connect() as connection:
        connection.begin()
        payload = f'{{"toolset": "{billing.path}", "actor": "x"}}'
        connection.execute(text(insert), {"id": billing.id, "payload": payload})

        def made_late(*_: object) -> NoLock:
            connection.commit()
            return NoLock()

        message = plain(billing)
        arrival = Inbox.arrival("create_release", message)
        assert arrival is not None
        assert mailbox(engine, make_lock=made_late).work_unwritten(arrival) is None
    assert [record(engine, one).status for one in ("earlier", message.id)] == ["queued", "queued"]


def test_the_first_delivery_of_what_has_ended_meanwhile_is_told_so(
    engine: Engine, billing: Toolset, servers: Servers
) -> None:
    asked = ticket(engine, ask(engine, billing), first=True)
    with ledger_transaction(engine) as connection:
        cancel_request(connection, asked.id, Cancellation(actor="alice"))
    with (
        toolset_lock_client(servers.redis_url) as redis,
        RedisToolsetLock(redis, billing.id, owner="another", ttl=60, wait=0),
    ):
        assert mailbox(engine, make_lock=redis_locks(redis)).work_unseen(asked) is None


def test_the_first_delivery_waits_for_its_toolset_before_it_looks(
    engine: Engine, billing: Toolset, servers: Servers
) -> None:
    asked = ticket(engine, ask(engine, billing), first=True)
    with toolset_lock_client(servers.redis_url) as redis:
        held = RedisToolsetLock(redis, billing.id, owner="another", ttl=60, wait=0)
        held.__enter__()
        with pytest.raises(LockUnavailable):
            mailbox(engine, make_lock=redis_locks(redis)).work_unseen(asked)
        patient = LeasePolicy(lock_wait=30)
        free = Timer(0.2, held.__exit__, (None, None, None))
        free.start()
        worker = mailbox(engine, make_lock=redis_locks(redis, patient), leases=patient)
        assert isinstance(worker.work_unseen(asked), Succeeded)
        free.join()


def test_a_plain_message_behind_another_request_is_worked_in_its_turn(
    engine: Engine, billing: Toolset, runtime: Runtime
) -> None:
    before = ask(engine, billing)
    message = plain(billing)
    at_once, outcome = deliver(runtime, message)
    assert not at_once
    assert isinstance(outcome, Succeeded)
    numbers = {row.request_id: row.release_number for row in releases_of(engine, billing)}
    assert (numbers[before], numbers[message.id]) == (2, 3)
