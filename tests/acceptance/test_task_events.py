"""What Flower is told: Celery's events of a real worker. `tests/browser` looks at Flower's own pages."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from release_worker.embedded.python_process import CELERY, PythonProcess
from release_worker.errors import ReleaseNotFound, UnexpectedFailure
from tests.support.billing import a_full_toolset
from tests.support.ledger import ask, claim
from tests.support.servers import Servers
from tests.support.task_events import Watched, eventually, watching
from tests.support.workers import LONG, Service, running_worker, service
from tests.support.world import Toolset

SECRET = "hunter2-is-secret"


@pytest.fixture
def watched(served: Service, worker: PythonProcess) -> Iterator[Watched]:
    assert worker.status is None
    with watching(served) as made:
        yield made


def test_a_chore_sends_no_event_at_all(served: Service, billing: Toolset, watched: Watched) -> None:
    sent = subprocess.run(
        [sys.executable, "-m", *CELERY, "call", "release_worker.sweep"],
        env=served.environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert sent.stdout.strip()
    with served.client() as client:  # whatever is sent to the same worker later comes later
        handle = client.check_drift(billing.path)
        handle.result(LONG)
        watched.task(handle.id, "SUCCESS")
        eventually(lambda: len(watched.seen) == 4, "all its events")
    assert {name for _, name in watched.seen} == {"release_worker.check_drift"}
    assert {kind for kind, _ in watched.seen} == {"task-sent", "task-received", "task-started", "task-succeeded"}


def test_what_is_asked_and_what_it_came_to_are_lines_that_begin_with_toolset_and_numbers(
    served: Service, billing: Toolset, watched: Watched
) -> None:
    with served.client() as client:
        labels = {"api_token": SECRET, "team": "billing"}
        made = client.create_release(billing.path, actor="ci", notes="build 7", labels=labels)
        release = made.result(LONG)
        billing.edit(name="Other")
        undone = client.rollback(str(billing.id), 1, actor="oncall", reason="bad prompt")
        undone.result(LONG)

    task = watched.task(made.id, "SUCCESS")
    assert task.name == "release_worker.create_release"
    assert task.kwargs == f'{billing.path}, actor=ci, notes="build 7", labels={{api_token, team}}'
    assert task.result == (
        f"release_number=1, {billing.path}, create_release, created=true, toolset_version=1, "
        f"digest={release.digest[:12]}, release_id={release.release_id}, toolset_id={billing.id}"
    )

    task = watched.task(undone.id, "SUCCESS")
    named = f"{billing.path} ({billing.id})"
    assert task.kwargs == f'{named}, release_number=1, actor=oncall, reason="bad prompt"'
    numbers = "to_release_number=1, from_release_number=1, current_release_number=1, backup_release_number=2"
    assert task.result.startswith(f"{numbers}, {named}, rollback, ")
    assert "changes={settings: ~1}" in task.result
    assert SECRET not in repr(vars(task))


def test_arguments_of_any_celery_app_read_as_well_and_show_no_secret(
    served: Service, billing: Toolset, watched: Watched
) -> None:
    with served.stranger() as app:
        app.conf.task_send_sent_event = False  # what it says of its own messages is its own
        by_position: Any = app.send_task(
            "release_worker.create_release", [billing.path, "ci", "by hand", {"password": SECRET}], queue="releases"
        )
        answer = by_position.get(timeout=LONG)
        refused = app.send_task("release_worker.pin", kwargs={"password": SECRET}, queue="maintenance")
    assert answer["release_number"] == 1
    task = watched.task(by_position.id, "SUCCESS")
    assert (task.args, task.kwargs) == (
        "()",
        f'{billing.path}, actor=ci, notes="by hand", labels={{password}}',
    )
    task = watched.task(refused.id, "FAILURE")
    assert task.kwargs == "password=…"
    assert SECRET not in repr(vars(task))


def test_a_refusal_is_its_sentence_and_callers_get_the_typed_error(
    served: Service, billing: Toolset, watched: Watched
) -> None:
    with served.client(database=False) as client:
        refused = client.rollback(billing.path, 41, actor="oncall")
        with pytest.raises(ReleaseNotFound) as raised:
            refused.result(LONG)
    assert raised.value.details == {"toolset": billing.path, "release_number": 41}
    task = watched.task(refused.id, "FAILURE")
    assert task.exception == f"ReleaseNotFound: toolset {billing.path} has no release 41"
    assert task.traceback is None


def test_a_defect_keeps_the_traceback_of_its_place(served: Service, billing: Toolset, watched: Watched) -> None:
    with served.engine.begin() as connection:
        connection.execute(
            text("""
            CREATE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.notes = 'break' THEN RAISE 'it broke'; END IF; RETURN NEW; END $$;
            CREATE TRIGGER breaks BEFORE INSERT ON toolset_releases FOR EACH ROW EXECUTE FUNCTION breaks()
            """)
        )
    with served.client() as client:
        broken = client.create_release(billing.path, actor="ci", notes="break")
        with pytest.raises(UnexpectedFailure):
            broken.result(LONG)
    task = watched.task(broken.id, "FAILURE")
    assert task.exception.startswith("UnexpectedFailure: the operation failed unexpectedly: ")
    assert "in create_release\n" in task.traceback


def test_a_long_operation_says_which_step_it_is_at(served: Service, billing: Toolset, watched: Watched) -> None:
    with served.engine.begin() as connection:
        connection.execute(
            text("""
            CREATE FUNCTION lingers() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.notes = 'linger' THEN PERFORM pg_sleep(3); END IF; RETURN NEW; END $$;
            CREATE TRIGGER lingers BEFORE INSERT ON toolset_releases FOR EACH ROW EXECUTE FUNCTION lingers()
            """)
        )
    with served.client() as client:
        lingers = client.create_release(billing.path, actor="ci", notes="linger")
        assert watched.task(lingers.id, "CAPTURING").worker.hostname.startswith("acceptance@")
        assert lingers.result(LONG).release_number == 1
        watched.task(lingers.id, "SUCCESS")
        quick = client.create_release(billing.path, actor="ci")
        quick.result(LONG)
        watched.task(quick.id, "SUCCESS")
    assert watched.states[lingers.id][-1] == "SUCCESS"
    assert set(watched.states[quick.id]) <= {"PENDING", "RECEIVED", "STARTED", "SUCCESS"}, "no event of its steps"


WAITS_LONG = """
from dataclasses import replace
from release_worker.broker import signing_consumer
signing_consumer.DEFAULTS = replace(signing_consumer.DEFAULTS, events_wait=600)
"""


def test_events_that_wait_for_others_are_sent_before_a_worker_ends(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "celeryconfig.py").write_text(WAITS_LONG)
    with (
        service(servers, broker_database=12) as apart,
        running_worker(apart, "-n", "leaving@%h", directory=tmp_path) as leaving,
        watching(apart) as watched,
        apart.client() as client,
    ):
        billing = a_full_toolset(apart.engine)
        done = client.create_release(billing.path, actor="ci")
        done.result(LONG)
        assert "SUCCESS" not in watched.states.get(done.id, ())
        leaving.terminate()
        watched.task(done.id, "SUCCESS")


def test_a_retry_says_its_reason_in_a_sentence(served: Service, billing: Toolset, watched: Watched) -> None:
    busy = ask(served.engine, billing)
    assert claim(served.engine, busy)
    with served.client() as client:
        waits = client.create_release(billing.path, actor="ci")
        task = watched.task(waits.id, "RETRY")
        assert task.exception == f"LockUnavailable: another worker is busy with toolset {billing.id}"
        assert task.traceback is None
