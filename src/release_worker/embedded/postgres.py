"""PostgreSQL from the wheel: its defaults, a UNIX socket, no TCP."""

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from release_worker import errors
from release_worker.embedded.places import make_directory
from release_worker.embedded.process import EmbeddedServer, Identity, run

PORT = 5432
MAX_CONNECTIONS = 200
INITDB_SECONDS = 120.0


class EmbeddedPostgres(EmbeddedServer):
    """A PostgreSQL of its own; whoever can enter its socket directory is its superuser."""

    name = "postgres"
    stop_signal = signal.SIGINT  # "fast": ends the sessions, then writes a checkpoint
    unavailable = errors.DatabaseUnavailable

    def __init__(self, home: Path, *, binaries: Path, sockets: Path, identity: Identity) -> None:
        super().__init__(home, identity=identity)
        self._binaries = binaries
        self._sockets = sockets / "postgres"

    @property
    def admin_url(self) -> str:
        """The database `postgres`, as its superuser."""
        return self.url("postgres")

    def url(self, database: str) -> str:
        """The URL of a database, in SQLAlchemy's form; it names the port, lest PGPORT changes it."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._sockets}&port={PORT}"

    def restart_immediately(self) -> None:
        """Abort all sessions without a checkpoint, and start again by replaying the write-ahead log."""
        self._end(signal.SIGQUIT)
        self.start()

    def ensure_database(self, database: str) -> None:
        """Create a database that is not there yet."""
        with psycopg.connect(
            host=str(self._sockets), port=PORT, user="postgres", dbname="postgres", autocommit=True
        ) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))

    def _prepare(self, previous_pid: int | None) -> None:
        if previous_pid is not None and self._postmaster()[:1] == [str(previous_pid)]:
            (self.data / "postmaster.pid").unlink()
        if self._sockets.exists():
            shutil.rmtree(self._sockets)
        make_directory(self._sockets, owner=self._identity)
        if not self.data.exists():
            self._initialize()

    def _initialize(self) -> None:
        """Make the cluster aside and rename it, so that an interrupted initdb leaves no half of one."""
        unfinished = self.data.with_name("postgres.unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        make_directory(unfinished, owner=self._identity)
        command: list[str | Path] = [
            *(self._binaries / "initdb", "--pgdata", unfinished, "--username=postgres"),
            *("--auth-local=trust", "--auth-host=reject", "--encoding=UTF8", "--locale=C"),
        ]
        status, output = run(command, identity=self._identity, within=INITDB_SECONDS)
        if status != 0:
            raise errors.DatabaseUnavailable(reason=f"initdb failed:\n{output}")
        unfinished.rename(self.data)

    def _command(self) -> Sequence[str | Path]:
        return [
            *(self._binaries / "postgres", "-D", self.data, "-p", str(PORT)),
            *("-c", "listen_addresses=", "-c", f"unix_socket_directories={self._sockets}"),
            *("-c", f"max_connections={MAX_CONNECTIONS}"),
        ]

    def _is_ready(self) -> bool:
        """As `pg_ctl --wait` knows it: by the first and the eighth line of `postmaster.pid`."""
        lines = self._postmaster()
        return self.running and len(lines) >= 8 and lines[0] == str(self.pid) and lines[7] == "ready"

    def _postmaster(self) -> list[str]:
        try:
            return [line.strip() for line in (self.data / "postmaster.pid").read_text().splitlines()]
        except FileNotFoundError:
            return []
