"""`healthcheck` as a supervisor runs it: beside a real worker and a real beat, and within bounds."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from release_worker.domain.limits import DEFAULTS
from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import CELERY, PythonProcess
from release_worker.store.schema_version import VERSION_TABLE, known_revisions
from tests.support.command_line import CommandLine, settings
from tests.support.servers import Servers
from tests.support.workers import LONG, ROOT, Service, running_worker, service


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    return tmp_path / "signs"


@pytest.fixture
def watched(servers: Servers, signs: Path) -> Iterator[Service]:
    """Servers for processes that give their signs in a directory of this test's own."""
    with service(servers, broker_database=10, more={"health_directory": str(signs)}) as made:
        yield made


@pytest.fixture
def probe(watched: Service, signs: Path) -> CommandLine:
    urls = {"database_url": watched.database_url, "broker_url": watched.broker_url}
    return CommandLine(settings(**urls, health_directory=str(signs)))


def test_a_worker_is_healthy_while_it_consumes_and_not_when_it_is_stopped_or_gone(
    watched: Service, probe: CommandLine, signs: Path
) -> None:
    assert probe("healthcheck").out.startswith("unhealthy: worker: no worker of this host")
    with running_worker(watched, "--hostname", "watched@%h", "--queues", "releases,rollbacks") as worker:
        ended = probe.as_process("healthcheck")
        assert (ended.status, ended.out, ended.err) == (0, "healthy: broker, database, schema, worker\n", "")
        found = probe("healthcheck", "--json").document["checks"]
        assert found["schema"]["found"] == f"at revision {known_revisions()[-1]}"
        assert found["worker"]["found"].endswith("consumes releases, rollbacks")

        [sign] = signs.iterdir()
        first = json.loads(sign.read_text())
        assert first["pid"] == worker.pid
        assert eventually(lambda: json.loads(sign.read_text())["at"] > first["at"], within=LONG)

        worker.signal_all(signal.SIGSTOP)
        stopped = json.loads(sign.read_text())
        sign.write_text(json.dumps({**stopped, "at": stopped["at"] - DEFAULTS.sign_lapse}))  # as if so long ago
        assert "no sign of life from watched@" in probe("healthcheck").out
        assert probe("healthcheck", "--only", "alive").status == 1
        worker.signal_all(signal.SIGCONT)
        assert eventually(lambda: probe("healthcheck").status == 0, within=LONG)
    assert "no worker of this host" in probe("healthcheck").out
    assert list(signs.iterdir()) == []


def test_a_worker_whose_queues_are_taken_away_does_not_consume(watched: Service, probe: CommandLine) -> None:
    with running_worker(watched, "--hostname", "idle@%h", "--queues", "releases") as worker:
        watched.stranger().control.cancel_consumer("releases")
        assert eventually(lambda: probe("healthcheck", "--only", "worker").status == 1, within=LONG)
        assert "does not consume" in probe("healthcheck", "--only", "worker").out
        assert probe("healthcheck", "--only", "alive").status == 0
        assert worker.status is None


def test_a_beat_is_healthy_once_it_has_sent_a_tick(watched: Service, probe: CommandLine, signs: Path) -> None:
    assert probe("healthcheck", "--only", "beat").status == 1
    with tempfile.TemporaryDirectory(prefix="beat-") as directory:
        beat = [*CELERY, "beat", "--schedule", f"{directory}/schedule"]
        with PythonProcess("beat", beat, ROOT, watched.environment, Path(directory)):
            assert eventually(lambda: probe("healthcheck", "--only", "beat").status == 0, within=LONG)
    assert list(signs.iterdir()) == []


def test_a_schema_that_is_older_is_unhealthy_and_one_that_is_newer_is_not(watched: Service, probe: CommandLine) -> None:
    def at(revision: str) -> str:
        with watched.engine.begin() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision})
        return probe("healthcheck", "--only", "database", "--only", "schema").out

    *_, before, needed = known_revisions()
    behind = f"at revision {before}, and this version needs {needed}: release-worker db upgrade"
    assert at(before) == f"unhealthy: schema: {behind}\n"
    assert at("of_the_future") == at(needed) == "healthy: database, schema\n"
    with watched.engine.begin() as connection:
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    assert "there are no tables of release-worker" in probe("healthcheck", "--only", "schema").out


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port of 127.0.0.1 where somebody listens and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def run(signs: Path) -> CommandLine:
    """Without servers."""
    return CommandLine(settings(health_directory=str(signs)))


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_servers_that_hang_do_not_make_a_probe_hang(silent_port: int, scheme: str) -> None:
    silent = settings(
        broker_url=f"{scheme}://127.0.0.1:{silent_port}", database_url=f"postgresql://user@127.0.0.1:{silent_port}/app"
    )
    only = ("--only", "broker", "--only", "schema", "--timeout", "0.2")
    ended = CommandLine(silent).as_process("healthcheck", *only)  # killed after two minutes
    assert (ended.status, ended.err) == (1, "")
    assert ended.out == "unhealthy: broker: no answer within 0.2 s; schema: no answer within 0.2 s\n"


def test_the_sign_of_a_process_that_is_gone_is_removed(run: CommandLine, signs: Path) -> None:
    program = """
import sys
from pathlib import Path
from release_worker.broker.signs import SignFile
SignFile(Path(sys.argv[1]), "worker", "gone@here").write("consuming", ["releases"])
"""
    subprocess.run([sys.executable, "-c", program, signs], check=True)
    assert [file.name for file in signs.iterdir()] == ["worker-gone@here.json"]
    assert "no worker of this host" in run("healthcheck", "--only", "worker").out
    assert list(signs.iterdir()) == []


def test_a_probe_does_not_import_what_takes_long(run: CommandLine) -> None:
    """Importing the worker's app takes several times as long as the whole probe."""
    program = """
import sys
from release_worker.cli.main import run
run(["healthcheck"])
print(*sorted(sys.modules))
"""
    servers = settings(broker_url="redis://127.0.0.1:1", database_url="postgresql://user@127.0.0.1:1/app")
    printed = subprocess.run(
        [sys.executable, "-c", program], env={**run.variables, **servers}, capture_output=True, text=True, check=True
    ).stdout
    modules = set(printed.splitlines()[-1].split())
    assert {"psycopg", "kombu.transport.redis"} <= modules
    assert not {"celery.app", "sqlalchemy", "alembic", "structlog", "rich.traceback"} & modules


def test_a_probe_takes_a_fraction_of_what_importing_the_worker_takes(run: CommandLine) -> None:
    servers = settings(broker_url="redis://127.0.0.1:1", database_url="postgresql://user@127.0.0.1:1/app")
    probe = "from release_worker.cli.main import run; run(['healthcheck'])"
    import_all = "from release_worker import app; app.conf.broker_url"
    probing, importing = (
        min(_processor_seconds(program, {**run.variables, **servers}) for _ in range(3))
        for program in (probe, import_all)
    )
    assert probing < 0.9 * importing


def _processor_seconds(program: str, environment: dict[str, str]) -> float:
    measured = f"{program}\nimport time; print(time.process_time())"
    printed = subprocess.run(
        [sys.executable, "-c", measured], env=environment, capture_output=True, text=True, check=True
    ).stdout
    return float(printed.splitlines()[-1])
