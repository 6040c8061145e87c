"""A real PgBouncer in transaction mode, between a test and its database."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from release_worker.embedded.process import GuardedProcess, eventually, unprivileged_identity
from tests.support import elsewhere

PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer (Debian: apt install pgbouncer)")

PORT = 6432
SERVER_CONNECTIONS = 3
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
listen_addr =
listen_port = {own_port}
unix_socket_dir = {directory}
auth_type = trust
auth_file = {directory}/users
admin_users = postgres
pool_mode = transaction
default_pool_size = {connections}
server_lifetime = {lifetime}
"""


@dataclass(frozen=True)
class Pooler:
    """A running PgBouncer; `url` is that of the database behind it."""

    url: str
    directory: Path

    def forget(self) -> None:
        """Replace each server connection, and with it the session that statements were prepared in."""
        with self._admin() as admin:
            admin.execute("RECONNECT")

    def server_connections(self) -> int:
        """How many there are to PostgreSQL."""
        with self._admin() as admin:
            return len(admin.execute("SHOW SERVERS").fetchall())

    def _admin(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host=str(self.directory),
            port=PORT,
            user="postgres",
            dbname="pgbouncer",
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.ClientCursor,  # its console knows only plain queries
        )


@contextmanager
def pooler(database_url: str, *, server_lifetime: int = 3600) -> Iterator[Pooler]:
    """Started in front of a database, and stopped at the end. Without a `server_lifetime`,
    each transaction has a session of its own."""
    assert PROGRAM is not None
    elsewhere.skip_here("a pooler refuses what the run asks for when it connects")
    behind, identity = make_url(database_url), unprivileged_identity()
    with tempfile.TemporaryDirectory(prefix="release-worker-pgbouncer-", dir="/tmp") as made:
        directory = Path(made)
        directory.chmod(0o777)
        (directory / "users").write_text('"postgres" ""\n')
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                host=behind.host or behind.query["host"],
                port=behind.port or behind.query["port"],
                user=behind.username,
                own_port=PORT,
                directory=directory,
                connections=SERVER_CONNECTIONS,
                lifetime=server_lifetime,
            )
        )
        url = f"postgresql+psycopg://{behind.username}@/{behind.database}?host={directory}&port={PORT}"
        running = Pooler(url, directory)
        with (directory / "log").open("wb") as log, (directory / "lock").open("w") as lock:
            process = GuardedProcess(
                [PROGRAM, configuration], identity=identity, log=log, lock=lock, stop_signal=signal.SIGTERM
            )
        try:
            assert eventually(lambda: _answers(running), within=10), (directory / "log").read_text()
            yield running
        finally:
            process.end(signal.SIGTERM, within=10)


def _answers(running: Pooler) -> bool:
    with suppress(psycopg.OperationalError):
        running.server_connections()
        return True
    return False
