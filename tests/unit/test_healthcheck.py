"""`healthcheck` without servers: what it reads, that it ends in time, and what it does not import."""

import json
import os
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL

from release_worker import migrations
from release_worker.broker.signs import SignFile, signs_in
from release_worker.domain.limits import DEFAULTS
from release_worker.store.engine import make_engine
from release_worker.store.schema_version import connection_arguments, known_revisions
from tests.alembic_check import script_directory
from tests.support.command_line import CommandLine, settings

NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_characters="@"), min_size=1)


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    return tmp_path / "signs"


@pytest.fixture
def run(signs: Path) -> CommandLine:
    return CommandLine(settings(health_directory=str(signs)))


def test_the_revisions_that_a_probe_knows_are_those_of_alembic() -> None:
    in_order = [script.revision for script in reversed(list(script_directory().walk_revisions()))]
    assert known_revisions() == in_order
    assert known_revisions()[-1] == migrations.head_revision()


@given(user=NAMES, password=st.none() | NAMES, port=st.none() | st.integers(1, 65_535))
def test_a_probe_connects_as_an_engine_does(user: str, password: str | None, port: int | None) -> None:
    url = URL.create("postgresql+psycopg", user, password, "db.test", port, "app")
    expected = {"user": user, "password": password, "host": "db.test", "port": port, "dbname": "app"}
    found = connection_arguments(url.render_as_string(hide_password=False))
    assert found == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize(
    "rest",
    [
        "user:p/w:x@db.test:5433/app",
        "user@db.test/app",
        "user:pw@[::1]:5433/app",
        "user:pw@/app?host=/run/postgresql",
        "user:pw@/app?host=one.test:5432&host=two.test:5433",
        "db.test/app?sslmode=require",
        "user:pw%25@db.test/app?application_name=mine",
    ],
)
def test_every_form_of_a_url_means_the_same_to_a_probe_as_to_an_engine(rest: str) -> None:
    engine = make_engine(f"postgresql+psycopg://{rest}")
    expected = engine.dialect.create_connect_args(engine.url)[1]
    del expected["context"]  # SQLAlchemy's adapters
    assert connection_arguments(f"postgresql+psycopg://{rest}") == expected


def test_what_is_not_set_is_said_in_one_line(run: CommandLine) -> None:
    ended = run("healthcheck")
    assert (ended.status, ended.err) == (1, "")
    [line] = ended.out.splitlines()
    assert line.startswith("unhealthy: broker: RELEASE_WORKER_BROKER_URL is not set; database: RELEASE_WORKER_DATABASE")
    assert "worker: no worker of this host says that it works" in line


def test_json_has_each_check(run: CommandLine) -> None:
    ended = run("healthcheck", "--only", "broker", "--only", "beat", "--json")
    document = json.loads(ended.out)
    assert (ended.status, document["ok"], document["checks"].keys()) == (1, False, {"broker", "beat"})
    assert document["checks"]["broker"] == {"ok": False, "found": "RELEASE_WORKER_BROKER_URL is not set"}


def test_settings_that_cannot_be_read_are_one_line_too() -> None:
    ended = CommandLine(settings(broker_url="no url"))("healthcheck")
    assert (ended.status, len(ended.out.splitlines()), ended.err) == (1, 1, "")


def test_a_refused_connection_is_said_without_the_password() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    refusing = settings(
        broker_url=f"redis://:secret@127.0.0.1:{port}", database_url=f"postgresql://user:secret@127.0.0.1:{port}/app"
    )
    ended = CommandLine(refusing)("healthcheck", "--only", "broker", "--only", "database")
    assert ended.status == 1
    assert ended.out.count("refused") == 2
    assert "secret" not in ended.out


def test_a_worker_that_gave_a_sign_lately_is_alive_and_consumes(run: CommandLine, signs: Path) -> None:
    sign = SignFile(signs, "worker", "celery@here")
    sign.write("consuming", ["maintenance", "releases"])
    assert run("healthcheck", "--only", "alive", "--only", "worker").out == "healthy: alive, worker\n"
    document = run("healthcheck", "--only", "worker", "--json").document
    assert document["checks"]["worker"]["found"] == "celery@here consumes maintenance, releases"
    sign.write("waiting")
    assert run("healthcheck", "--only", "alive").status == 0
    assert run("healthcheck", "--only", "worker").out == (
        "unhealthy: worker: celery@here does not consume: it waits for its broker, or ends\n"
    )
    sign.remove()
    assert run("healthcheck", "--only", "alive").status == 1


def test_one_silent_process_among_several_is_named(run: CommandLine, signs: Path) -> None:
    SignFile(signs, "worker", "one@here").write("consuming", ["releases"])
    SignFile(signs, "worker", "two@here").write("consuming", ["releases"])
    age(signs / "worker-two@here.json", DEFAULTS.sign_lapse + 1)
    assert run("healthcheck", "--only", "worker").out == "unhealthy: worker: no sign of life from two@here for 30 s\n"


def age(file: Path, seconds: float) -> None:
    """Make a sign older."""
    sign = json.loads(file.read_text())
    file.write_text(json.dumps({**sign, "at": sign["at"] - seconds}))


def test_a_sign_of_the_future_is_that_of_a_host_that_was_started_anew(run: CommandLine, signs: Path) -> None:
    SignFile(signs, "beat", "beat@here").write("publishing")
    age(signs / "beat-beat@here.json", -1000)
    assert run("healthcheck", "--only", "beat").status == 1


def test_a_torn_or_foreign_file_is_no_sign(signs: Path) -> None:
    signs.mkdir()
    (signs / "worker-torn.json").write_text('{"role": "wor')
    (signs / "worker-foreign.json").write_text('{"role": "worker"}')
    assert signs_in(signs, "worker") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to somebody else")
def test_a_directory_of_somebody_else_is_not_believed(run: CommandLine, signs: Path) -> None:
    SignFile(signs, "worker", "celery@here").write("consuming", ["releases"])
    os.chown(signs, 12_345, -1)
    ended = run("healthcheck", "--only", "worker")
    assert (ended.status, ended.out) == (1, f"unhealthy: worker: {signs} belongs to somebody else\n")


def test_a_worker_that_cannot_write_signs_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    SignFile(tmp_path / "file" / "below", "worker", "celery@here").write("consuming")


def test_signs_are_younger_than_their_lapse_by_the_clock_of_the_host(signs: Path) -> None:
    before = time.monotonic()
    SignFile(signs, "worker", "celery@here").write("consuming")
    [sign] = signs_in(signs, "worker")
    assert before <= sign.at <= time.monotonic()


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_with_each_sign(signs: Path, tmp_path: Path, *, abstract: bool) -> None:
    name = f"release-worker-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{name}" if abstract else name)
        sign = SignFile(signs, "worker", "celery@here", watchdog=f"@{name}" if abstract else name)
        for _ in range(2):
            sign.write("waiting")
            assert systemd.recv(64) == b"WATCHDOG=1"
    sign.write("waiting")  # whoever listens or not
