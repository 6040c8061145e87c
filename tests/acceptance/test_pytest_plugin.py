"""The tests of an app that uses the plugin, in a pytest of its own."""

import re
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, text

from release_worker import ReleaseClient
from release_worker.errors import ReleaseNotFound
from release_worker.testing import ReleaseWorker
from tests.support.app_tests import run_app_tests
from tests.support.servers import Servers

APP = """
from sqlalchemy import text
from sqlalchemy.orm import Session

def rename(session, client, toolset, name):
    ids = client.editing(session, toolset)
    session.execute(text("UPDATE toolsets SET name = :name WHERE id = :id"), {"name": name, "id": ids.toolset_id})
    return client.create_release(toolset, actor="app", notes=name, session=session)
"""
TEN_LINES = """
from app import rename
from release_worker import ReleaseClient
from sqlalchemy.orm import Session

def test_an_edit_and_its_release_are_one_transaction(release_worker):
    toolset = release_worker.sample_toolset("search", "book")
    with ReleaseClient.from_env() as client, Session(release_worker.engine) as session:
        rename(session, client, toolset, "undone")
        session.rollback()
        rename(session, client, toolset, "kept")
        session.commit()
        release_worker.settle()
        assert client.status(toolset).result(timeout=30).current["notes"] == "kept"
"""
FAILING = """
def test_a_rollback_to_nowhere(release_worker):
    release_worker.client.rollback(release_worker.sample_toolset(), 7, actor="oncall").result(timeout=30)

def test_one_that_passes(release_worker):
    print("printed by the test")
"""
# The app's own tables, made once in what each database is a clone of; and a setting of the worker.
CONFTEST = """
import pytest
from sqlalchemy import create_engine, text

@pytest.fixture(scope="session")
def release_worker_template(release_worker_template):
    engine = create_engine(release_worker_template)  # which is left open, as a careless app would
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE bookings (number int)"))
        connection.execute(text("CREATE TABLE organizations (theirs text)"))
    yield release_worker_template
    engine.dispose()

@pytest.fixture(scope="session")
def release_worker_settings():
    return {"secret_keys": "*colour*"}
"""
WITH_TABLES = """
from sqlalchemy import create_engine, text

def test_a_database_of_its_own(release_worker_database, release_worker_client):
    engine = create_engine(release_worker_database)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM bookings, organizations")).scalar() == 0
    engine.dispose()
    assert release_worker_client.organizations() == []

def test_with_a_worker(release_worker):
    with release_worker.connect() as connection:
        connection.execute(text("INSERT INTO bookings VALUES (1)"))
        connection.commit()
    toolset = release_worker.sample_toolset()
    assert release_worker.client.create_release(toolset, actor="ci").result(timeout=30).release_number == 1
    assert release_worker.environment["RELEASE_WORKER_SECRET_KEYS"] == "*colour*"
    assert release_worker.environment["RELEASE_WORKER_SCHEMA"] == "releases"
"""


@pytest.fixture
def given(servers: Servers) -> Sequence[str]:
    """The servers of our session, for a session that is to start none."""
    postgres, broker = servers.databases.postgres.admin_url, servers.broker(11)
    return f"--release-worker-postgres-url={postgres}", f"--release-worker-broker-url={broker}"


def test_an_apps_file_of_a_few_lines_brings_servers_a_database_and_a_worker(tmp_path: Path) -> None:
    """The environment of the developer leads to servers that are not there."""
    elsewhere = {
        "RELEASE_WORKER_DATABASE_URL": "postgresql://nowhere.test/production",
        "RELEASE_WORKER_BROKER_URL": "redis://nowhere.test/0",
        "RELEASE_WORKER_REDIS_URL": "redis://nowhere.test/1",
        "BROKER_URL": "redis://nowhere.test/2",
    }
    ran = run_app_tests(tmp_path, {"app.py": APP, "test_app.py": TEN_LINES}, more=elsewhere)
    assert (ran.status, ran.summary) == (0, "1 passed"), ran.out


def test_two_processes_work_side_by_side_on_servers_that_are_given_and_leave_no_database(
    tmp_path: Path, given: Sequence[str], servers: Servers
) -> None:
    files = {"app.py": APP, "test_one.py": TEN_LINES, "test_two.py": TEN_LINES}
    before = databases(servers)
    ran = run_app_tests(tmp_path, files, *given, "-n", "2", "--dist", "loadfile")
    assert (ran.status, ran.summary) == (0, "2 passed"), ran.out
    assert databases(servers) == before


def databases(servers: Servers) -> set[str]:
    admin = create_engine(servers.databases.postgres.admin_url, poolclass=NullPool)
    with admin.connect() as connection:
        return set(connection.execute(text("SELECT datname FROM pg_database")).scalars())


def test_what_the_worker_logged_is_shown_with_a_test_that_failed(tmp_path: Path, given: Sequence[str]) -> None:
    ran = run_app_tests(tmp_path, {"test_app.py": FAILING}, *given)
    assert ran.summary == "1 failed, 1 passed", ran.out
    [section] = re.findall(r"- Captured release_worker call -+\n(.*?)\n[=-]{9}", ran.out, flags=re.DOTALL)
    assert '"event": "request_failed"' in section
    assert "ReleaseNotFound" in section
    assert " ready." not in section


def test_an_app_adds_tables_of_its_own_and_settings_and_keeps_ours_in_another_schema(
    tmp_path: Path, given: Sequence[str]
) -> None:
    files = {
        "conftest.py": CONFTEST,
        "test_app.py": WITH_TABLES,
        "pytest.ini": "[pytest]\nrelease_worker_schema = releases\n",
    }
    ran = run_app_tests(tmp_path, files, *given)
    assert (ran.status, ran.summary) == (0, "2 passed"), ran.out


# Here the plugin's fixtures themselves, on the worker of this directory.


def test_what_is_committed_is_done_and_settling_waits_for_it(release_worker: ReleaseWorker) -> None:
    toolset = release_worker.sample_toolset()
    handles = [release_worker.client.create_release(toolset, actor="ci") for _ in range(3)]
    release_worker.settle()
    assert [handle.result(timeout=0).release_number for handle in handles] == [1, 2, 3]
    assert toolset in release_worker.log()


def test_settling_publishes_what_an_app_wrote_down_and_did_not_publish(release_worker: ReleaseWorker) -> None:
    """As if it had died after its commit."""
    toolset = release_worker.sample_toolset()
    with ReleaseClient(broker_url="memory://", database_url=release_worker.database_url) as dead:
        handle = dead.create_release(toolset, actor="ci")
        release_worker.settle()
        assert handle.result(timeout=0).release_number == 1


def test_settling_waits_for_nothing_that_another_test_has_left(release_worker: ReleaseWorker) -> None:
    with ReleaseClient(broker_url="memory://", database_url=release_worker.database_url) as dead:
        left = dead.create_release(release_worker.sample_toolset(), actor="ci")
        ours = release_worker
        begun_now = ReleaseWorker.of(ours.client, ours.engine, ours.service, ours.worker)
        begun_now.settle(timeout=0)
        assert left.status() == "queued"
        release_worker.settle()
        assert left.status() == "succeeded"


def test_who_waits_in_vain_is_told_for_what(release_worker: ReleaseWorker) -> None:
    toolset = release_worker.sample_toolset()
    with release_worker.engine.connect() as app, app.begin():
        app.execute(text("SELECT FROM toolsets WHERE slug = 'rest' FOR UPDATE"))
        handle = release_worker.client.rollback(toolset, 7, actor="oncall")
        with pytest.raises(TimeoutError, match=rf"after 0.1 s, rollback {handle.id} is (queued|running)"):
            release_worker.settle(timeout=0.1)
    release_worker.settle()
    with pytest.raises(ReleaseNotFound):
        handle.result(timeout=0)


def test_a_toolset_has_the_tools_that_were_named_in_their_order(release_worker: ReleaseWorker) -> None:
    named, other = release_worker.sample_toolset("search", "book"), release_worker.sample_toolset()
    assert named.partition("/")[0] != other.partition("/")[0]
    shown = release_worker.client.show_toolset(named)
    assert [tool.urn.rpartition(":")[2] for tool in shown.tools] == ["search", "book"]
    assert len(release_worker.client.show_toolset(other).tools) == 5


def test_other_programs_connect_by_the_dsn(release_worker: ReleaseWorker) -> None:
    toolset = release_worker.sample_toolset()
    with psycopg.connect(release_worker.database_dsn) as connection:
        [request_id] = connection.execute(
            "SELECT release_worker_request('create_release', %s, 'psql')", [toolset]
        ).fetchone() or [None]
    release_worker.settle()
    assert release_worker.client.handle(str(request_id)).result(timeout=0).release_number == 1
