"""What is shown of a database: what stands in it now, at a cost that does not grow with the ledger."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event, make_url, text

from release_worker.errors import LockUnavailable, VersionConflict
from release_worker.metrics.catalogue import METRICS, PREFIX
from release_worker.metrics.figures import read_figures
from release_worker.metrics.serving import MetricsServer
from release_worker.store.engine import ledger_transaction
from release_worker.store.requests import postpone
from release_worker.store.tables import live, metadata
from tests.support.billing import a_full_toolset
from tests.support.freezes import freeze
from tests.support.ledger import ask, claim, end_leases, grow_old, ledger, mailbox, make_due
from tests.support.metrics import above_zero, samples, scraped, shown
from tests.support.world import Toolset, World


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def test_an_empty_ledger_shows_zeros(engine: Engine) -> None:
    found = shown(engine)
    assert found["release_worker_up"] == 1
    assert found['release_worker_requests{kind="rollback",status="queued"}'] == 0
    assert found['release_worker_requests_finished_total{kind="rollback",status="failed"}'] == 0
    assert found['release_worker_failures_total{error="IntegrityMismatch"}'] == 0
    assert found["release_worker_oldest_unpublished_seconds"] == 0
    nonzero = {name.split("{")[0] for name, value in found.items() if value}
    of_tables = {"release_worker_table_bytes", "release_worker_table_rows"}
    assert nonzero <= {"release_worker_up", "release_worker_build_info", "release_worker_scrape_seconds", *of_tables}


def test_all_that_the_catalogue_names_is_shown_and_nothing_else(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).work_until_done(ask(engine, billing))
    names = {name.split("{")[0] for name in shown(engine)}
    suffixes = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",), "gauge": ("",)}
    assert names == {PREFIX + metric.name + suffix for metric in METRICS for suffix in suffixes[metric.type]}


def test_what_is_queued_and_running_is_shown_by_kind_with_its_age_by_queue(engine: Engine, billing: Toolset) -> None:
    for kind, fields in (("create_release", {}), ("create_release", {}), ("rollback", {"release_number": 1})):
        ask(engine, billing, kind, **fields)
    grow_old(engine, 1000)
    ask(engine, billing, "rollback", release_number=2)
    claim(engine, ledger(engine)[0].id)
    found = shown(engine)
    assert above_zero(found, "requests", "requests_behind_others", "leases") == {
        'requests{kind="create_release",status="queued"}': 1,
        'requests{kind="create_release",status="running"}': 1,
        'requests{kind="rollback",status="queued"}': 2,
        "requests_behind_others": 3,
        'leases{state="good"}': 1,
    }
    ages = above_zero(found, "oldest_queued_seconds", "oldest_unpublished_seconds")
    assert list(ages) == [
        'oldest_queued_seconds{queue="releases"}',
        'oldest_queued_seconds{queue="rollbacks"}',
        "oldest_unpublished_seconds",
    ]
    assert all(1000 <= age < 2000 for age in ages.values())


def test_a_lease_that_ran_out_is_shown_until_somebody_takes_over(engine: Engine, billing: Toolset) -> None:
    lost = claim(engine, ask(engine, billing))
    end_leases(engine)
    assert above_zero(shown(engine), "leases") == {'leases{state="expired"}': 1}
    mailbox(engine).work_until_done(lost.id)
    assert above_zero(shown(engine), "leases", "attempts_total") == {
        'attempts_total{kind="create_release",outcome="expired"}': 1,
        'attempts_total{kind="create_release",outcome="succeeded"}': 1,
    }


def test_a_request_that_is_put_back_waits_and_then_is_due(engine: Engine, billing: Toolset) -> None:
    first = claim(engine, ask(engine, billing))
    with ledger_transaction(engine) as connection:
        postpone(connection, first, LockUnavailable(), delay_seconds=600)
    grow_old(engine, 0)
    found = shown(engine)
    assert above_zero(found, "requests_to_retry") == {'requests_to_retry{state="waiting"}': 1}
    assert found["release_worker_oldest_unpublished_seconds"] == 0
    make_due(engine)
    assert above_zero(shown(engine), "requests_to_retry") == {'requests_to_retry{state="due"}': 1}


def test_a_request_that_was_published_again_is_no_longer_overdue(engine: Engine, billing: Toolset) -> None:
    ask(engine, billing)
    grow_old(engine, 1000)
    assert shown(engine)["release_worker_oldest_unpublished_seconds"] >= 1000
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_requests SET published_at = now()"))
    found = shown(engine)
    assert found["release_worker_oldest_unpublished_seconds"] < 900
    assert found['release_worker_oldest_queued_seconds{queue="releases"}'] >= 1000


def test_kinds_that_nobody_knows_are_shown_together(engine: Engine, billing: Toolset) -> None:
    written = """
        INSERT INTO release_requests (id, kind, toolset_id, requested_by)
        SELECT 'id-' || n, 'kind_' || n, :toolset, 'x' FROM generate_series(1, 20) AS n
    """
    with engine.begin() as connection:
        connection.execute(text(written), {"toolset": billing.id})
    assert above_zero(shown(engine), "requests") == {'requests{kind="other",status="queued"}': 20}


def test_tables_of_ours_are_shown_with_their_size(engine: Engine, billing: Toolset) -> None:
    for _ in range(3):
        mailbox(engine).work_until_done(ask(engine, billing))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE release_requests"))
    found = shown(engine)
    assert found['release_worker_table_rows{table="release_requests"}'] == 3
    assert found['release_worker_table_bytes{table="release_requests"}'] > 8192
    listed = {name for name in found if name.startswith("release_worker_table_bytes")}
    ours = {name for name, table in metadata.tables.items() if getattr(live, name, None) is not table}
    assert listed == {f'release_worker_table_bytes{{table="{name}"}}' for name in ours}


def test_events_are_shown_until_they_are_delivered_or_given_up(engine: Engine, billing: Toolset) -> None:
    mailbox(engine).work_until_done(ask(engine, billing))
    names = ("events_undispatched", "event_deliveries", "oldest_undelivered_event_seconds")
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_events SET created_at = created_at - interval '1000 seconds'"))
    found = above_zero(shown(engine), *names)
    assert found.pop("oldest_undelivered_event_seconds") >= 1000
    assert found == {"events_undispatched": 1}

    delivery = """
        WITH event AS (UPDATE release_events SET dispatched_at = now() RETURNING id, seq),
             receiver AS (INSERT INTO release_event_subscriptions (receiver, task, queue, created_by)
                          VALUES ('r', 't', 'q', 'x')
                          RETURNING id)
        INSERT INTO release_event_deliveries (event_id, subscription_id, seq)
        SELECT event.id, receiver.id, seq FROM event, receiver
    """
    with engine.begin() as connection:
        connection.execute(text(delivery))
    found = above_zero(shown(engine), *names)
    assert found.pop("oldest_undelivered_event_seconds") >= 1000
    assert found == {'event_deliveries{state="open"}': 1}
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_event_subscriptions SET enabled = false"))
    assert above_zero(shown(engine), *names) == {'event_deliveries{state="open"}': 1}
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_event_deliveries SET dead_at = now()"))
    assert above_zero(shown(engine), *names) == {'event_deliveries{state="dead"}': 1}
    with engine.begin() as connection:
        connection.execute(text("UPDATE release_event_deliveries SET dead_at = NULL, delivered_at = now()"))
    assert above_zero(shown(engine), *names) == {}


def test_schedules_are_shown_by_state_and_how_late_they_are(engine: Engine, world: World) -> None:
    written = """
        INSERT INTO release_schedules (organization_id, name, cron, next_fire_at, enabled, suspended_reason, held_until,
                                       created_by)
        SELECT :id, name, '0 0 * * *', now() + after, enabled, reason, held, 'x'
        FROM (VALUES ('later', interval '1 hour', true, CAST(NULL AS text), CAST(NULL AS timestamptz)),
                     ('late', interval '-1000 seconds', true, NULL, NULL),
                     ('new', NULL, true, NULL, NULL),
                     ('held', interval '1 hour', true, NULL, now() + interval '1 hour'),
                     ('paused', interval '-1 day', false, NULL, NULL),
                     ('suspended', interval '-1 day', true, 'no such release', NULL)
             ) AS given (name, after, enabled, reason, held)
    """
    assert above_zero(shown(engine), "schedules", "oldest_due_schedule_seconds") == {}
    with engine.begin() as connection:
        connection.execute(text(written), {"id": world.organization("acme").id})
    found = above_zero(shown(engine), "schedules", "oldest_due_schedule_seconds")
    assert 1000 <= found.pop("oldest_due_schedule_seconds") < 2000
    assert found == {
        'schedules{state="enabled"}': 3,
        'schedules{state="held"}': 1,
        'schedules{state="paused"}': 1,
        'schedules{state="suspended"}': 1,
    }


def test_drift_is_shown_as_it_was_seen_last(engine: Engine, world: World) -> None:
    seen = """
        INSERT INTO toolset_drift (toolset_id, drifted, checked_at, failed)
        VALUES (:drifted, true, now() - interval '1000 seconds', NULL), (:same, false, now(), NULL),
               (:failed, true, now(), 'no'), (:unchecked, false, NULL, NULL)
    """
    project = world.organization("acme").project("payments")
    toolsets = {name: project.toolset(name).id for name in ("drifted", "same", "failed", "unchecked")}
    with engine.begin() as connection:
        connection.execute(text(seen), toolsets)
    found = above_zero(shown(engine), "toolsets", "oldest_drift_look_seconds")
    assert 1000 <= found.pop("oldest_drift_look_seconds") < 2000
    assert found == {f'toolsets{{drift="{name}"}}': 1 for name in toolsets}


def test_freezes_are_shown_while_they_last(engine: Engine, world: World) -> None:
    project = world.organization("acme").project("payments")
    for starts, ends in ((-1, 1), (1, 2), (2, 3), (-2, -1)):
        freeze(project, starts=starts, ends=ends)
    assert above_zero(shown(engine), "freezes") == {'freezes{state="active"}': 1, 'freezes{state="planned"}': 2}


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


FINISHED = """
    INSERT INTO release_requests (id, kind, toolset_id, status, attempts, result, requested_by, created_at, finished_at)
    SELECT 'old-' || n, 'create_release', :toolset, 'succeeded', 1, '{}', 'x', now() - interval '1 day', now()
    FROM generate_series(1, 20000) AS n
"""


def test_no_finished_request_is_read(engine: Engine, billing: Toolset) -> None:
    """By any statement of a look, in a ledger that has many."""
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE release_requests DISABLE TRIGGER USER"))
        connection.execute(text(FINISHED), {"toolset": billing.id})
        connection.execute(text("ALTER TABLE release_requests ENABLE TRIGGER USER"))
    ask(engine, billing)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    plans = list(explained(engine))
    assert len(plans) >= 6
    nodes = [node for plan in plans for node in _nodes(plan) if node.get("Relation Name") == "release_requests"]
    assert nodes
    for node in nodes:
        assert node["Node Type"] != "Seq Scan"
        assert node["Actual Rows"] + node.get("Rows Removed by Filter", 0) <= 1


def explained(engine: Engine) -> Iterator[dict[str, Any]]:
    """The plans of all statements of one look, carried out."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    read_figures(engine)
    event.remove(engine, "before_cursor_execute", note)
    with engine.connect() as connection:
        for statement, parameters in asked:
            if statement.lstrip().startswith(("SELECT", "WITH")):
                explain = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
                yield connection.exec_driver_sql(explain, parameters).scalar_one()[0]["Plan"]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def test_a_look_writes_nothing_and_waits_for_nobody_for_long(engine: Engine) -> None:
    with engine.begin() as other:
        other.execute(text("LOCK TABLE release_totals"))
        with pytest.raises(VersionConflict):
            read_figures(engine)
    assert shown(engine)["release_worker_up"] == 1


def test_the_port_shows_what_is_read_or_that_it_cannot_be(engine: Engine, database_url: str) -> None:
    with closing(MetricsServer(database_url, address="127.0.0.1", port=0)) as server:
        assert samples(scraped(server.port))["release_worker_up"] == 1
        assert "# EOF" in scraped(server.port, accept="application/openmetrics-text; version=1.0.0")
    gone = make_url(database_url).set(database=f"no_{uuid4().hex}").render_as_string(hide_password=False)
    with closing(MetricsServer(gone, address="127.0.0.1", port=0)) as server:
        assert samples(scraped(server.port))["release_worker_up"] == 0


def test_many_who_ask_at_once_take_one_connection(engine: Engine, database_url: str) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'release_worker metrics'"
    with closing(MetricsServer(database_url, address="127.0.0.1", port=0)) as server, engine.begin() as other:
        other.execute(text("LOCK TABLE release_totals"))
        answers: list[float] = []

        def ask_once() -> None:
            answers.append(samples(scraped(server.port))["release_worker_up"])

        asking = [threading.Thread(target=ask_once) for _ in range(20)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        assert answers == [0.0] * 20
        with engine.connect() as connection:
            assert connection.execute(text(query + " AND datname = current_database()")).scalar_one() <= 1


def test_a_child_gives_the_port_up_and_its_parent_goes_on(database_url: str) -> None:
    with closing(MetricsServer(database_url, address="127.0.0.1", port=0)) as server:
        held = server._server.socket.fileno()
        child = os.fork()
        if child == 0:
            try:
                os.fstat(held)
            except OSError:
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert samples(scraped(server.port))["release_worker_up"] == 1
