"""A real RabbitMQ of Debian's package, with all that is its own in a temporary directory and on free ports."""

import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from kombu import Connection

from release_worker.embedded.process import GuardedProcess, Identity, eventually, run, unprivileged_identity

_SCRIPTS = "/usr/lib/rabbitmq/bin"  # those on PATH insist on the package's own user and directories
SERVER = shutil.which("rabbitmq-server", path=_SCRIPTS)
EPMD = shutil.which("epmd")
needs_rabbitmq = pytest.mark.skipif(
    SERVER is None or EPMD is None, reason="there is no rabbitmq-server (Debian: apt install rabbitmq-server)"
)
START_SECONDS = 90.0


class RabbitMQ:
    """A node without a cluster; its port mapper is another process."""

    def __init__(self, directory: Path, identity: Identity) -> None:
        self._directory = directory
        self._identity = identity
        self._port, self._distribution, self._epmd_port = free_port(), free_port(), free_port()
        self._processes: list[GuardedProcess] = []

    @property
    def url(self) -> str:
        """The virtual host that is there from the start."""
        return f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def start(self) -> None:
        assert SERVER is not None
        assert EPMD is not None
        mapper = ["-port", str(self._epmd_port), "-address", "127.0.0.1"]
        self._launch("epmd", ["/usr/bin/env", f"HOME={self._directory}", EPMD, *mapper])
        self._launch("rabbitmq", ["/usr/bin/env", *self._environment(), SERVER])
        log = self._directory / "rabbitmq.log"
        assert eventually(self._answers, within=START_SECONDS), log.read_text()[-3000:]

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.end(signal.SIGTERM, within=60)
        self._processes.clear()

    def restart(self) -> None:
        """With its data, as after an upgrade."""
        self.stop()
        self.start()

    def virtual_host(self, name: str, *options: str) -> str:
        """The URL of a new virtual host."""
        self._control("add_vhost", name, *options)
        self._control("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        return f"{self.url.removesuffix('//')}/{name}"

    def _control(self, *arguments: str) -> None:
        command = ["/usr/bin/env", *self._environment(), f"{_SCRIPTS}/rabbitmqctl", *arguments]
        status, output = run(command, identity=self._identity, within=60)
        assert status == 0, output

    def _launch(self, name: str, command: list[str]) -> None:
        with (self._directory / f"{name}.log").open("ab") as log, (self._directory / f"{name}.lock").open("w") as lock:
            self._processes.append(
                GuardedProcess(command, identity=self._identity, log=log, lock=lock, stop_signal=signal.SIGTERM)
            )

    def _environment(self) -> list[str]:
        home = self._directory
        settings = {
            "NODENAME": "tests@localhost",
            "NODE_IP_ADDRESS": "127.0.0.1",
            "NODE_PORT": self._port,
            "DIST_PORT": self._distribution,
            "CONF_ENV_FILE": "/dev/null",
            "CONFIG_FILE": home / "none",
            "ENABLED_PLUGINS_FILE": home / "plugins",
            "PLUGINS_EXPAND_DIR": home / "expanded",
            "MNESIA_BASE": home / "data",
            "LOG_BASE": home / "logs",
            "LOGS": "-",
            "PID_FILE": home / "pid",
            "SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
        }
        named = [f"RABBITMQ_{name}={value}" for name, value in settings.items()]
        return [f"HOME={home}", f"ERL_EPMD_PORT={self._epmd_port}", "ERL_EPMD_ADDRESS=127.0.0.1", *named]

    def _answers(self) -> bool:
        with suppress(Exception), Connection(self.url, connect_timeout=2) as connection:
            connection.connect()
            return True
        return False


@contextmanager
def rabbitmq() -> Iterator[RabbitMQ]:
    """Started, and stopped at the end with everything that it has left."""
    identity = unprivileged_identity()
    with tempfile.TemporaryDirectory(prefix="release-worker-rabbitmq-", dir="/tmp") as made:
        directory = Path(made)
        directory.chmod(0o777)
        (directory / "plugins").write_text("[].\n")
        server = RabbitMQ(directory, identity)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
