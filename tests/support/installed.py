"""PostgreSQL and Redis as an operator has them: from Debian's packages, by TCP, and with passwords."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from release_worker.embedded.process import GuardedProcess, Identity, eventually, run, unprivileged_identity

_DEBIANS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
_PATH = os.pathsep.join([os.environ["PATH"], *map(str, _DEBIANS), "/usr/sbin"])
POSTGRES, INITDB, PSQL, REDIS = (
    shutil.which(name, path=_PATH) for name in ("postgres", "initdb", "psql", "redis-server")
)
needs_installed_servers = pytest.mark.skipif(
    not all((POSTGRES, INITDB, PSQL, REDIS)),
    reason="PostgreSQL or Redis is not installed (make servers, or Debian: apt install postgresql redis-server)",
)


@dataclass(frozen=True)
class Installed:
    """Both, running; `password` is that of PostgreSQL's owner."""

    postgres_port: int
    redis_port: int
    owner: str
    password: str

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """As the owner, to the database of the same name."""
        return psycopg.connect(
            host="127.0.0.1",
            port=self.postgres_port,
            user=self.owner,
            dbname=self.owner,
            password=self.password,
            autocommit=True,
        )


@contextmanager
def installed_servers(
    *, owner: str, password: str, redis_options: Sequence[str] = ("--appendonly", "yes")
) -> Iterator[Installed]:
    """Started in a directory that is removed, and stopped at the end. The owner of the database is no superuser."""
    assert POSTGRES is not None
    assert REDIS is not None
    identity = unprivileged_identity()
    with tempfile.TemporaryDirectory(prefix="release-worker-installed-", dir="/tmp") as made, ExitStack() as stack:
        directory = Path(made)
        directory.chmod(0o777)
        servers = Installed(free_port(), free_port(), owner, password)
        data = _cluster(directory, identity)
        postgres: list[str | Path] = [
            *(POSTGRES, "-D", data, "-p", str(servers.postgres_port)),
            *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={directory}", "-c", "fsync=off"),
        ]
        redis: list[str | Path] = [
            *(REDIS, "--bind", "127.0.0.1", "--port", str(servers.redis_port), "--dir", directory),
            *redis_options,
        ]
        for command, stop_signal in ((postgres, signal.SIGINT), (redis, signal.SIGTERM)):
            stack.enter_context(_running(command, identity, directory, stop_signal))
        assert eventually(lambda: _made_owner(directory, servers), within=60), _logs(directory)
        assert eventually(lambda: _answers(servers), within=60), _logs(directory)
        yield servers


def free_port() -> int:
    """A port of 127.0.0.1 that is free now."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port: int = probe.getsockname()[1]
        return port


def _cluster(directory: Path, identity: Identity) -> Path:
    """Who comes by TCP needs a password; the superuser comes by the socket."""
    assert INITDB is not None
    data = directory / "data"
    command: list[str | Path] = [INITDB, "--pgdata", data, "--username=postgres", "--auth-local=trust"]
    status, output = run([*command, "--auth-host=scram-sha-256", "--encoding=UTF8"], identity=identity, within=120)
    assert status == 0, output
    return data


@contextmanager
def _running(
    command: Sequence[str | Path], identity: Identity, directory: Path, stop_signal: signal.Signals
) -> Iterator[None]:
    name = Path(command[0]).name
    with (directory / f"{name}.log").open("wb") as log, (directory / f"{name}.lock").open("w") as lock:
        process = GuardedProcess(command, identity=identity, log=log, lock=lock, stop_signal=stop_signal)
    try:
        yield
    finally:
        process.end(stop_signal, within=30)


def _made_owner(directory: Path, servers: Installed) -> bool:
    """Make the owner and its database, once the server is there."""
    with suppress(psycopg.OperationalError):
        place = f"host={directory} port={servers.postgres_port} user=postgres dbname=postgres"
        with psycopg.connect(place, autocommit=True) as connection:
            owner = psycopg.sql.Identifier(servers.owner)
            make = psycopg.sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}")
            connection.execute(make.format(owner, psycopg.sql.Literal(servers.password)))
            connection.execute(psycopg.sql.SQL("CREATE DATABASE {} OWNER {}").format(owner, owner))
        return True
    return False


def _answers(servers: Installed) -> bool:
    """Whether Redis does, if only that it wants a password."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", servers.redis_port), timeout=1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    return False


def _logs(directory: Path) -> str:
    return "\n".join(log.read_text(errors="replace") for log in directory.glob("*.log"))


def psql_script(script: Path, variables: dict[str, str]) -> None:
    """Run a shell script that calls `psql`."""
    assert PSQL is not None
    path = os.pathsep.join([str(Path(PSQL).parent), os.environ["PATH"]])
    subprocess.run(["sh", script], env={**os.environ, "PATH": path, **variables}, check=True, capture_output=True)
