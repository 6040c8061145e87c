"""The plugin where nothing is started: it costs nothing, and says what is missing."""

import json
from pathlib import Path

import pytest

from release_worker.errors import NotConfigured
from release_worker.extras import EXTRAS
from release_worker.testing.running.servers import GivenServers, numbered, servers_for_tests
from tests.support.app_tests import run_app_tests
from tests.unit.test_extras import WITHOUT

IN_ONE_FIXTURE = """
def test_it(release_worker):
    pass
"""
WITH_A_FAKE = """
def test_it(release_worker_fake):
    assert release_worker_fake.create_release("acme/payments/billing", actor="ci").result().release_number == 1
"""
WHAT_IS_LOADED = """
import json, pathlib, sys

def test_it():
    pathlib.Path("loaded.json").write_text(json.dumps(sorted(sys.modules)))
"""


def test_a_session_that_uses_no_fixture_of_ours_loads_the_plugin_and_nothing_else(tmp_path: Path) -> None:
    ran = run_app_tests(tmp_path, {"test_app.py": WHAT_IS_LOADED}, "-p", "no:celery", "-p", "no:hypothesispytest")
    assert ran.summary == "1 passed", ran.out
    loaded: list[str] = json.loads((tmp_path / "loaded.json").read_text())
    ours = {name for name in loaded if name.startswith("release_worker")}
    assert ours == {
        "release_worker",
        "release_worker.errors",
        "release_worker.extras",
        "release_worker.testing",
        "release_worker.testing.plugin",
    }
    assert not {"celery", "kombu", "pydantic", "redis", "sqlalchemy", "psycopg"}.intersection(loaded)


@pytest.mark.parametrize(("extra", "fixture"), [("embedded", "release_worker"), ("worker", "release_worker_database")])
def test_without_an_extra_a_fixture_says_in_one_line_what_to_install(tmp_path: Path, extra: str, fixture: str) -> None:
    source = IN_ONE_FIXTURE.replace("release_worker", fixture)
    missing = set(EXTRAS[extra]) - {"sqlalchemy", "psycopg", "cronsim"}
    files = {"test_app.py": source, "test_others.py": "def test_others(): pass"}
    ran = run_app_tests(tmp_path, files, before=WITHOUT.format(missing=missing))
    assert (ran.status, ran.summary) == (1, "1 passed, 1 error"), ran.out
    [line] = [line for line in ran.out.splitlines() if line.startswith("release_worker_")]
    assert line.endswith(": install release-worker[embedded]")
    assert "Traceback" not in ran.out


def test_the_fake_client_needs_no_extra(tmp_path: Path) -> None:
    ran = run_app_tests(tmp_path, {"test_app.py": WITH_A_FAKE}, before=WITHOUT.format(missing=set(EXTRAS["embedded"])))
    assert ran.summary == "1 passed", ran.out


def test_a_project_may_leave_the_plugin_out(tmp_path: Path) -> None:
    files = {"test_app.py": IN_ONE_FIXTURE, "test_others.py": "def test_others(): pass"}
    ran = run_app_tests(tmp_path, files, "-p", "no:release_worker")
    assert ran.summary == "1 passed, 1 error", ran.out
    assert "fixture 'release_worker' not found" in ran.out


@pytest.mark.parametrize("option", ["--release-worker-postgres-url", "--release-worker-broker-url"])
def test_a_url_that_cannot_be_one_is_refused_in_one_line_without_it(tmp_path: Path, option: str) -> None:
    others = {
        "--release-worker-postgres-url": "postgresql://somewhere.test/app",
        "--release-worker-broker-url": "redis://somewhere.test",
    }
    urls = {**others, option: "redis://:a-se/cret@somewhere.test:port/0"}
    arguments = [f"{name}={url}" for name, url in urls.items()]
    ran = run_app_tests(tmp_path, {"test_app.py": IN_ONE_FIXTURE}, *arguments)
    assert ran.summary == "1 error", ran.out
    assert any(option in line for line in ran.out.splitlines()), ran.out
    assert "cret" not in ran.out


@pytest.mark.parametrize(
    ("url", "second"),
    [
        ("redis://host.test/0", "redis://host.test/2"),
        (
            "rediss://:secret@host.test:6380/7?ssl_cert_reqs=required",
            "rediss://:secret@host.test:6380/9?ssl_cert_reqs=required",
        ),
        ("redis+socket:///run/valkey.sock?virtual_host=1", "redis+socket:///run/valkey.sock?virtual_host=3"),
        ("redis+socket:///a?password=x&virtual_host=1", "redis+socket:///a?password=x&virtual_host=3"),
    ],
)
def test_each_process_of_tests_has_a_database_of_a_redis_that_is_given(url: str, second: str) -> None:
    assert (numbered(url, 0), numbered(url, 2)) == (url, second)


def test_a_redis_without_a_number_begins_at_0_and_another_broker_serves_one_process() -> None:
    def unused() -> None:
        raise AssertionError("both servers are given")

    for url, used in (
        ("redis://host.test", "redis://host.test/1"),
        ("redis://host.test:6379/", "redis://host.test:6379/1"),
        ("redis://host.test/3", "redis://host.test/4"),
    ):
        given = GivenServers("postgresql://host.test/postgres", url, process=1)
        with servers_for_tests(given, unused) as servers:  # type: ignore[arg-type]
            assert servers.broker_url == used
    assert numbered("amqp://host.test//", 0) == "amqp://host.test//"
    with pytest.raises(NotConfigured, match="one process of tests"):
        numbered("amqp://host.test//", 1)
