"""Valkey from the wheel: append-only file, a UNIX socket, no TCP."""

import shutil
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from release_worker import errors
from release_worker.embedded.places import make_directory
from release_worker.embedded.process import EmbeddedServer, Identity


class EmbeddedValkey(EmbeddedServer):
    """A Valkey of its own, which refuses writes rather than evict keys."""

    name = "valkey"
    stop_signal = signal.SIGTERM
    unavailable = errors.BrokerUnavailable

    def __init__(self, home: Path, *, binary: Path, sockets: Path) -> None:
        super().__init__(home, identity=Identity())
        self._binary = binary
        self._socket = sockets / "valkey.sock"

    @property
    def broker_url(self) -> str:
        """The URL of database 0, in kombu's form."""
        return f"redis+socket://{self._socket}?virtual_host=0"

    @property
    def redis_url(self) -> str:
        """The URL of database 0, in redis-py's form."""
        return f"unix://{self._socket}?db=0"

    def restart(self, *, keep_data: bool = True) -> None:
        """Stop in order and start again; without its data, as a broker comes back that lost its disk."""
        if keep_data:
            self.stop()
        else:
            self.kill()
            shutil.rmtree(self.data)
        self.start()

    def _prepare(self, previous_pid: int | None) -> None:
        make_directory(self.data, owner=Identity())

    def _command(self) -> Sequence[str | Path]:
        return [
            *(self._binary, "--port", "0", "--unixsocket", self._socket, "--unixsocketperm", "700"),
            *("--dir", self.data, "--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
        ]

    def _is_ready(self) -> bool:
        """Whether it answers PING with PONG, and not that it is loading or has gone."""
        if not self.running:
            return False
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
