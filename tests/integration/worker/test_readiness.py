"""A worker that cannot work says so, and says it again until it can."""

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from structlog.testing import capture_logs

from release_worker import migrations
from release_worker.embedded.process import eventually
from release_worker.operations.schema import upgrade_schema
from release_worker.testing.running.databases import EMPTY
from release_worker.worker.readiness import Readiness
from tests.support.servers import Servers
from tests.support.workers import LONG

URL = "RELEASE_WORKER_DATABASE_URL"


def said_by(readiness: Readiness) -> list[tuple[str, str, str]]:
    with capture_logs() as lines:
        readiness.check()
    return [(line["log_level"], line["event"], str(line.get("reason", ""))) for line in lines]


def set_revision(database_url: str, revision: str) -> None:
    with create_engine(database_url, poolclass=NullPool).begin() as connection:
        change = text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = :revision")
        connection.execute(change, {"revision": revision})


def test_without_a_database_it_names_the_variable_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL, raising=False)
    assert said_by(Readiness()) == [("error", "worker_cannot_work", f"{URL} is not set")]


def test_it_says_why_a_database_does_not_let_it_in_and_no_password(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = make_url(servers.postgres.admin_url).set(username="nobody", password="s3cret")
    monkeypatch.setenv(URL, refused.render_as_string(hide_password=False))
    [(level, event, reason)] = said_by(Readiness())
    assert (level, event) == ("error", "worker_cannot_work")
    assert "nobody" in reason
    assert "s3cret" not in reason


def test_it_tells_an_empty_database_from_an_older_schema_and_from_a_newer_one(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    readiness = Readiness()
    with servers.databases.temporary(template=EMPTY) as database_url:
        monkeypatch.setenv(URL, database_url)
        [(level, event, reason)] = said_by(readiness)
        assert (level, event) == ("error", "worker_cannot_work")
        assert "no tables" in reason
        assert "`release-worker db upgrade`" in reason

        upgrade_schema(database_url)
        assert said_by(readiness) == [("warning", "worker_can_work_again", "")]
        assert said_by(readiness) == []

        set_revision(database_url, "0001_functions")
        [(level, event, reason)] = said_by(readiness)
        assert (level, event) == ("error", "worker_cannot_work")
        assert "older" in reason

        set_revision(database_url, "9999_from_tomorrow")
        assert [(level, event) for level, event, _ in said_by(readiness)] == [
            ("warning", "schema_is_newer"),
            ("warning", "worker_can_work_again"),
        ]


def test_at_its_start_it_says_in_which_schema_it_works_and_that_nothing_is_there(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers.databases.temporary(template=EMPTY) as database_url:
        monkeypatch.setenv(URL, database_url)
        monkeypatch.setenv("RELEASE_WORKER_SCHEMA", "releases")
        with capture_logs() as lines:
            Readiness().start()
    starts, cannot = lines
    assert starts == {"event": "worker_starts", "log_level": "info", "schema": "releases"}
    assert "no tables of release-worker in schema releases: if RELEASE_WORKER_SCHEMA is right, run" in cannot["reason"]


def test_it_says_it_again_and_again_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL, raising=False)
    readiness = Readiness(interval=0.01)
    with capture_logs() as lines:
        readiness.keep_checking()
        assert eventually(lambda: len(lines) >= 3, within=LONG)
        readiness.stop()
    assert {line["event"] for line in lines} == {"worker_cannot_work"}
