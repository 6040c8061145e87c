"""A real worker, asked in each of the ways that README names."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from celery.result import AsyncResult

from release_worker import ReleaseClient
from release_worker.domain.canonical_json import DEEPEST
from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import PythonProcess
from release_worker.errors import IdempotencyConflict, ReleaseNotFound
from tests.support.billing import INVOICE, a_full_toolset
from tests.support.ledger import ask, grow_old, record
from tests.support.live_state import live_state
from tests.support.operations import ACTOR
from tests.support.records import current_number, release_of, releases_of
from tests.support.servers import Servers
from tests.support.workers import LONG, Service, answer, running_worker, service
from tests.support.world import Toolset


def send(served: Service, kind: str, *positional: Any, task_id: str | None = None, **keywords: Any) -> AsyncResult:
    """As an app that knows Celery and the names, and imports nothing of ours."""
    queues = {"create_release": "releases", "rollback": "rollbacks"}
    with served.stranger() as app:
        return app.send_task(
            f"release_worker.{kind}",
            args=positional,
            kwargs=keywords,
            queue=queues.get(kind, "maintenance"),
            task_id=task_id,
        )


@pytest.mark.parametrize("database", [True, False], ids=["with a database", "without a database"])
def test_each_task_does_what_the_client_asks(served: Service, billing: Toolset, *, database: bool) -> None:
    with served.client(database=database) as client:
        made = client.create_release(billing.path, actor="ci", notes="one\ntwo", labels={"build": 7}).result(LONG)
        stored = release_of(served.engine, billing, 1)
        assert (made.release_id, made.toolset_id, made.digest) == (stored.id, billing.id, stored.digest)
        assert (stored.notes, stored.labels, stored.released_by) == ("one\ntwo", {"build": 7}, "ci")

        released = live_state(served.engine, billing)
        billing.move_tool(INVOICE, 9)
        drift = client.check_drift(str(billing.id)).result(LONG)
        assert (drift.drifted, list(drift.changes)) == (True, ["tools"])

        done = client.rollback(billing.path, 1, actor="oncall", reason="bad").result(LONG)
        assert (done.from_release_number, done.backup_release_number, done.current_release_number) == (1, 2, 1)
        assert live_state(served.engine, billing) == released
        assert not client.check_drift(billing.path).result(LONG).drifted

        assert client.pin(billing.path, 2, actor="oncall").result(LONG).pinned
        assert client.prune(billing.path, keep=1, actor="oncall").result(LONG).kept == 2


@pytest.mark.parametrize("by", ["keyword", "position"])
def test_each_task_can_be_sent_by_its_name_alone(served: Service, billing: Toolset, by: str) -> None:
    def call(kind: str, *values: Any, names: str) -> Any:
        if by == "position":
            return answer(send(served, kind, *values))
        return answer(send(served, kind, **dict(zip(names.split(), values, strict=True))))

    made = call("create_release", billing.path, "ci", "notes", {"a": [1]}, names="toolset actor notes labels")
    stored = release_of(served.engine, billing, 1)
    assert made == {
        "release_id": str(stored.id),
        "release_number": 1,
        "toolset_id": str(billing.id),
        "toolset_version": 1,
        "digest": stored.digest,
        "created": True,
    }
    billing.edit(name="Other")
    done = call(
        "rollback",
        billing.path,
        1,
        "oncall",
        "bad",
        ["settings"],
        names="toolset release_number actor reason components",
    )
    changes = {"added": [], "removed": [], "changed": [{"key": "name", "old": "Other", "new": "Billing"}]}
    assert UUID(done.pop("rollback_id"))
    assert done == {
        "toolset_id": str(billing.id),
        "from_release_number": 1,
        "to_release_number": 1,
        "current_release_number": 1,
        "backup_release_number": 2,
        "components": ["settings"],
        "changes": {"settings": changes},
        "warnings": [],
        "noop": False,
        "affected": [],
        "dry_run": False,
    }
    drift = call("check_drift", str(billing.id), names="toolset")
    assert drift == {"toolset_id": str(billing.id), "drifted": False, "current_release_number": 1, "changes": {}}


@pytest.mark.parametrize("database", [True, False], ids=["with a database", "without a database"])
def test_an_error_reaches_the_caller_as_the_contract_names_it(
    served: Service, billing: Toolset, *, database: bool
) -> None:
    with served.client(database=database) as client:
        handle = client.rollback(billing.path, 7, actor="oncall")
        with pytest.raises(ReleaseNotFound) as raised:
            handle.result(LONG)
    assert raised.value.details == {"toolset": billing.path, "release_number": 7}
    failed = record(served.engine, handle.id)
    assert (failed.status, failed.error) == ("failed", raised.value.as_record())


def test_a_caller_without_the_package_sees_the_name_and_the_sentence_of_an_error(
    served: Service, billing: Toolset
) -> None:
    program = f"""
import sys
from celery import Celery
app = Celery(broker={served.broker_url!r}, backend={served.broker_url!r})
arguments = {{"toolset": {billing.path!r}, "release_number": 7, "actor": "stranger"}}
try:
    app.send_task("release_worker.rollback", kwargs=arguments, queue="rollbacks").get(timeout={LONG})
except Exception as error:
    print(type(error).__name__, error.args)
print([name for name in sys.modules if name.startswith("release_worker")])
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=LONG, check=True)
    error, imported = ended.stdout.splitlines()
    assert error.startswith("ReleaseNotFound (")
    assert f"toolset {billing.path} has no release 7" in error
    assert imported == "[]"


def test_a_task_that_is_delivered_again_answers_with_the_stored_result(served: Service, billing: Toolset) -> None:
    task_id = str(uuid4())
    arguments = {"toolset": billing.path, "actor": "ci"}
    first = answer(send(served, "create_release", task_id=task_id, **arguments))
    billing.edit(name="Other")
    again = [send(served, "create_release", task_id=task_id, **arguments) for _ in range(3)]
    after = answer(send(served, "create_release", **arguments))
    assert [answer(one) for one in again] == [first] * 3
    assert after["release_number"] == 2
    assert len(releases_of(served.engine, billing)) == 2


def test_celery_stores_a_result_unless_its_client_reads_the_ledger_and_names_no_backend(
    served: Service, billing: Toolset
) -> None:
    with ReleaseClient(broker_url=served.broker_url, database_url=served.database_url) as client:
        unread = client.create_release(billing.path, actor="ci")
        failed = client.rollback(billing.path, 99, actor="ci")
        assert unread.result(LONG).release_number == 1
        with pytest.raises(ReleaseNotFound):
            failed.result(LONG)
    with served.client() as client, served.stranger() as app:
        number = client.create_release(billing.path, actor="ci").result(LONG).release_number
        read = client.create_release(billing.path, actor="ci")
        assert answer(app.AsyncResult(read.id))["release_number"] == number + 1
        assert [app.AsyncResult(one.id).state for one in (unread, failed)] == ["PENDING", "PENDING"]


def test_who_reads_a_backend_is_told_what_came_of_a_request_whose_lost_message_a_repeated_one_replaced(
    served: Service, billing: Toolset
) -> None:
    asked = ask(served.engine, billing, idempotency_key="build-1")
    with (
        served.client(database=False) as client,
        ReleaseClient(broker_url=served.broker_url, database_url=served.database_url) as other,
    ):
        assert other.create_release(billing.path, actor=ACTOR, idempotency_key="build-1").id == asked
        assert client.handle(asked, "create_release").result(LONG).release_number == 1


def test_who_reads_a_backend_is_told_what_came_of_a_request_that_somebody_else_brought_back(
    served: Service, billing: Toolset
) -> None:
    """Also if the other client reads the ledger and names no backend."""
    with (
        served.client(database=False) as client,
        ReleaseClient(broker_url=served.broker_url, database_url=served.database_url) as operator,
    ):
        asked = client.rollback(billing.path, 1, actor="ci")
        with pytest.raises(ReleaseNotFound):
            asked.result(LONG)
        operator.create_release(billing.path, actor="ci").result(LONG)
        operator.retry(asked.id).result(LONG)
        again = client.handle(asked.id, asked.kind)
        assert eventually(lambda: again.status() == "succeeded", within=LONG)
        assert again.result(LONG).to_release_number == 1


def test_a_task_with_the_id_of_another_request_is_refused_and_changes_neither(
    served: Service, billing: Toolset
) -> None:
    made = send(served, "create_release", toolset=billing.path, actor="ci")
    answer(made)
    before = record(served.engine, made.id)
    with served.stranger() as app:
        app.AsyncResult(made.id).forget()
    with pytest.raises(IdempotencyConflict):
        answer(send(served, "rollback", task_id=made.id, toolset=billing.path, release_number=1, actor="ci"))
    assert record(served.engine, made.id) == before


def test_a_key_stands_for_one_request_however_often_it_is_sent(served: Service, billing: Toolset) -> None:
    arguments = {"toolset": billing.path, "actor": "ci", "idempotency_key": "build-991", "notes": "a"}
    first = answer(send(served, "create_release", **arguments))
    billing.edit(name="Other")
    by_id = {**arguments, "toolset": str(billing.id)}
    assert answer(send(served, "create_release", **by_id)) == first
    with pytest.raises(IdempotencyConflict) as conflict:
        answer(clashing := send(served, "create_release", **{**arguments, "notes": "b"}))
    with pytest.raises(IdempotencyConflict):
        answer(send(served, "rollback", billing.path, 1, "ci", idempotency_key="build-991"))
    assert conflict.value.details["idempotency_key"] == "build-991"
    assert record(served.engine, clashing.id).error == conflict.value.as_record()
    assert [row.notes for row in releases_of(served.engine, billing)] == ["a"]


def test_a_client_with_a_database_is_told_of_a_used_key_at_once(served: Service, billing: Toolset) -> None:
    with served.client() as client:
        first = client.create_release(billing.path, actor="ci", idempotency_key="k")
        again = client.create_release(billing.path, actor="ci", idempotency_key="k")
        assert again.id == first.id
        assert again.result(LONG) == first.result(LONG)
        with pytest.raises(IdempotencyConflict):
            client.create_release(billing.path, actor="ci", idempotency_key="k", only_if_changed=True)


def test_a_request_whose_message_was_lost_is_found_by_the_sweep_and_done_under_its_id(
    served: Service, billing: Toolset
) -> None:
    lost = ask(served.engine, billing)
    grow_old(served.engine, 60)
    with served.stranger() as app, served.client() as client:
        app.send_task("release_worker.sweep", queue="maintenance")
        assert client.handle(lost, "create_release").result(LONG).release_number == 1
    assert [row.request_id for row in releases_of(served.engine, billing)] == [lost]


def test_a_request_of_plain_sql_is_done_without_a_sweep(served: Service, billing: Toolset) -> None:
    with psycopg.connect(served.database_url.replace("+psycopg", "")) as caller:
        row = caller.execute("SELECT release_worker_request('create_release', %s, 'psql')", [billing.path]).fetchone()
    assert row is not None
    with served.client() as client:
        assert client.handle(row[0], "create_release").result(LONG).release_number == 1


def test_the_log_says_how_requests_end_and_nothing_of_what_they_carry(
    served: Service, worker: PythonProcess, billing: Toolset
) -> None:
    with served.client() as client:
        client.create_release(billing.path, actor="ci", notes="s3cret-1", labels={"s3cret-2": 1}).result(LONG)
        billing.edit(settings={"password": "s3cret-3"})
        done = client.rollback(billing.path, 1, actor="ci", reason="s3cret-4")
        assert done.result(LONG).changes["settings"].changed
        with pytest.raises(ReleaseNotFound):
            client.rollback(billing.path, 99, actor="ci", reason="s3cret-5").result(LONG)
    lines = worker.said().splitlines()
    assert any("request_succeeded" in line and done.id in line for line in lines)
    assert any("request_failed" in line and "ReleaseNotFound" in line for line in lines)
    assert not [line for line in lines if "s3cret" in line]


def test_a_worker_needs_no_celeryconfig(servers: Servers, tmp_path: Path) -> None:
    with service(servers, broker_database=2) as apart, running_worker(apart, directory=tmp_path) as elsewhere:
        billing = a_full_toolset(apart.engine)
        with apart.client() as client:
            assert client.create_release(billing.path, actor="ci").result(LONG).release_number == 1
        assert current_number(apart.engine, billing) == 1
        assert "release_worker.create_release" in elsewhere.said()


@pytest.mark.parametrize("database", [True, False], ids=["with a database", "without a database"])
def test_what_is_nested_to_the_limit_passes_through_every_part(
    served: Service, billing: Toolset, *, database: bool
) -> None:
    def nested(leaf: str) -> Any:
        value: Any = leaf
        for _ in range(DEEPEST):
            value = [value]
        return value

    labels = {"nested": nested("label")[0]}
    billing.edit(settings=nested("old leaf"))
    with served.client(database=database) as client:
        client.create_release(billing.path, actor="ci", labels=labels).result(LONG)
        assert release_of(served.engine, billing, 1).labels == labels
        billing.edit(settings=nested("new leaf"))
        assert "new leaf" in str(client.check_drift(billing.path).result(LONG).changes)
        assert "old leaf" in str(client.rollback(billing.path, 1, actor="ci", dry_run=True).result(LONG).changes)
    assert "old leaf" in str(answer(send(served, "rollback", billing.path, 1, "ci"))["changes"])
    assert not answer(send(served, "check_drift", billing.path))["drifted"]


@pytest.mark.parametrize("database", [True, False], ids=["with a database", "without a database"])
def test_labels_of_any_json_arrive_as_they_were_given(served: Service, billing: Toolset, *, database: bool) -> None:
    labels = {"build": 991, "ratio": 0.5, "nested": {"list": [1.25, None, True, 12345678901234567890]}, "name": "x"}
    with served.client(database=database) as client:
        client.create_release(billing.path, actor="ci", labels=labels).result(LONG)
    assert release_of(served.engine, billing, 1).labels == labels
