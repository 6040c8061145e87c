"""A proxy before PostgreSQL that breaks the connection in the middle of a chosen commit."""

import select
import socket
import tempfile
import threading
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Self

from sqlalchemy import make_url

COMMIT = b"COMMIT\x00"  # the whole of a query, not the end of "READ COMMITTED"
BEGIN = b"BEGIN"
TERMINATE = b"X"
# The end of what a server says when it waits for the next command, outside of a transaction.
# https://www.postgresql.org/docs/current/protocol-message-formats.html
READY_AND_IDLE = b"Z\x00\x00\x00\x05I"
SOCKET = ".s.PGSQL.5432"


class Loss(Enum):
    """What does not arrive: the commit itself, so that nothing happens, or only the server's answer to it."""

    COMMIT = "the commit"
    ANSWER = "its answer"


class LossyProxy:
    """Listens on a socket of its own for connections to `database_url`; `url` is that of the way through it."""

    def __init__(self, database_url: str) -> None:
        url = make_url(database_url)
        self._server = str(Path(str(url.query["host"])) / SOCKET)
        self._directory = tempfile.TemporaryDirectory(prefix="lossy-")
        self.url = url.update_query_dict({"host": self._directory.name}).render_as_string(hide_password=False)
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._turn = threading.Lock()
        self._left = 0
        self._loss = Loss.ANSWER

    def __enter__(self) -> Self:
        self._listener.bind(str(Path(self._directory.name) / SOCKET))
        self._listener.listen()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        self._directory.cleanup()

    def lose(self, commit: int, loss: Loss) -> None:
        """Break the connection at the so-manieth commit from now on, once."""
        with self._turn:
            self._left, self._loss = commit, loss

    def _accept(self) -> None:
        with suppress(OSError):  # that the listener was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(client,), name="proxied", daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._server)
            answer = b""
            while True:
                readable, _, _ = select.select([client, server], [], [])
                if server in readable:
                    answer = server.recv(65_536)
                    client.sendall(answer)
                    if not answer:
                        return
                if client in readable:
                    said = client.recv(65_536)
                    if not said:
                        return
                    lost = self._lost(said, idle=answer.endswith(READY_AND_IDLE))
                    if lost is Loss.COMMIT:
                        return
                    server.sendall(said)
                    if lost is Loss.ANSWER:
                        server.recv(65_536)  # the commit is done when it is answered
                        return

    def _lost(self, said: bytes, *, idle: bool) -> Loss | None:
        """What is to be lost of this, counting the commit if it is one: a statement outside of a transaction is."""
        alone = idle and BEGIN not in said and not said.startswith(TERMINATE)
        if not alone and COMMIT not in said:
            return None
        with self._turn:
            self._left -= 1
            return self._loss if self._left == 0 else None
