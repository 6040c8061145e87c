"""What the files of a deployment say, done on servers with passwords: everything but the containers."""

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from release_worker.embedded.process import eventually
from release_worker.embedded.python_process import PythonProcess
from tests.support.command_line import CommandLine
from tests.support.deployment import COMPOSE, PROGRAMS, Program
from tests.support.installed import Installed, installed_servers, needs_installed_servers, psql_script
from tests.support.repository import ROOT
from tests.support.workers import LONG, Service

# What breaks a URL, a shell, a file of settings or SQL if it is put there as it is.
PASSWORD = "p/a@s%s:w'o\"r#d? \\$é"


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    options = [word.replace("${VALKEY_PASSWORD:?}", PASSWORD) for word in COMPOSE["services"]["valkey"]["command"][1:]]
    with installed_servers(owner="release_worker", password=PASSWORD, redis_options=options) as running:
        yield running


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    return tmp_path / "signs"


def variables_of(program: Program, installed: Installed, signs: Path) -> dict[str, str]:
    """Those of the compose file, with the passwords that an operator gives, and the places of these servers."""
    places = {
        "@postgres/": f"@127.0.0.1:{installed.postgres_port}/",
        "//valkey:6379/": f"//127.0.0.1:{installed.redis_port}/",
    }
    found = {"RELEASE_WORKER_HEALTH_DIRECTORY": str(signs)}
    for name, value in program.variables.items():
        for place, here in places.items():
            value = value.replace(place, here)
        found[name] = PASSWORD if "PASSWORD" in name else value
    return found


def service(name: str) -> Program:
    return next(program for program in PROGRAMS if program.where == f"compose {name}")


def running(name: str, variables: Mapping[str, str], directory: Path) -> PythonProcess:
    """A service of the compose file, not started, with its command but for its paths."""
    schedule = str(directory / "schedule")
    words = [schedule if word.startswith("/tmp/") else word for word in service(name).command]
    return PythonProcess(name, words, directory, CommandLine(variables).variables)


@needs_installed_servers
def test_the_compose_file_makes_a_system_whose_worker_has_the_rights_of_a_worker(
    installed: Installed, signs: Path, tmp_path: Path
) -> None:
    psql_script(
        ROOT / "deploy/compose/roles.sh",
        {
            "POSTGRES_USER": "release_worker",
            "POSTGRES_DB": "release_worker",
            "WORKER_PASSWORD": PASSWORD,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(installed.postgres_port),
            "PGPASSWORD": PASSWORD,
        },
    )
    migrate, worker = (variables_of(service(name), installed, signs) for name in ("migrate", "worker"))
    upgraded = CommandLine(migrate).as_process(*service("migrate").command[1:])
    assert (upgraded.status, upgraded.err) == (0, "")
    assert CommandLine(migrate)("db", "upgrade", "--grants", "--sample").status == 0

    probe = CommandLine(worker)
    beat = variables_of(service("beat"), installed, signs)
    with running("worker", worker, tmp_path) as process, running("beat", beat, tmp_path):
        process.wait_until(lambda: " ready." in process.said())
        assert probe.as_process("healthcheck").out == "healthy: broker, database, schema, worker\n"
        owner = CommandLine({**migrate, **{name: worker[name] for name in worker if "BROKER" in name}})
        assert owner("release", "demo/github/rest", "--json").document["release_number"] == 1
        with installed.connect() as connection:
            connection.execute("DELETE FROM toolset_tools WHERE position > 2")
        assert owner("rollback", "demo/github/rest", "1", "--json").document["backup_release_number"] == 2
        assert eventually(lambda: CommandLine(beat)("healthcheck", "--only", "beat").status == 0, within=LONG)

    with (
        psycopg.connect(
            host="127.0.0.1",
            port=installed.postgres_port,
            user="release_worker_service",
            password=PASSWORD,
            dbname="release_worker",
        ) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("UPDATE toolset_releases SET digest = ''")


def in_pid_namespace() -> list[str]:
    """A command before another one that makes it process 1; an empty list if this machine does not let us."""
    unshare = shutil.which("unshare")
    command = [str(unshare), "--pid", "--fork", "--kill-child"]
    works = unshare is not None and subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if works else []


@pytest.mark.skipif(not in_pid_namespace(), reason="only root can make a namespace of processes")
def test_a_worker_that_is_process_1_ends_on_term(served: Service) -> None:
    with tempfile.TemporaryFile() as log:
        ended = _ended_by_term(served, log)
        log.seek(0)
        assert ended == 0, log.read().decode()


def _ended_by_term(served: Service, log: Any) -> int:
    worker = [sys.executable, "-m", *service("worker").command, "--hostname", "first@%h", "--loglevel", "INFO"]
    process = subprocess.Popen([*in_pid_namespace(), *worker], cwd=ROOT, env=served.environment, stdout=log, stderr=log)
    try:

        def is_ready() -> bool:
            log.seek(0)
            return b" ready." in log.read()

        assert eventually(is_ready, within=LONG)
        [first] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        subprocess.run(["kill", f"-{signal.SIGTERM}", first], check=True)
        return process.wait(LONG)
    finally:
        process.kill()
        process.wait()
