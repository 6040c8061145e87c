"""Real servers of Debian's redis-server: one that speaks TLS alone, and three that Sentinels watch."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis, RedisError

from release_worker.embedded.process import GuardedProcess, Identity, eventually
from tests.support.rabbitmq import free_port

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.skipif(SERVER is None, reason="there is no redis-server (Debian: apt install redis-server)")

PASSWORD = "p/w@1"
SENTINEL_PASSWORD = "watch me"
MASTER = "releases"


class RedisServer:
    """One process of redis-server, with an append-only file; `options` as on its command line."""

    def __init__(self, directory: Path, *options: str, probe: Sequence[str], sentinel: bool = False) -> None:
        directory.mkdir(exist_ok=True)
        self._directory = directory
        self._options = options
        self._probe = probe  # a URL, and how to ask it whether it lives
        self._sentinel = sentinel
        self._process: GuardedProcess | None = None

    def start(self) -> None:
        assert SERVER is not None
        durable = () if self._sentinel else ("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction")
        command = [SERVER, *self._options, "--dir", str(self._directory), "--bind", "127.0.0.1", *durable]
        with (self._directory / "log").open("ab") as log, (self._directory / "lock").open("w") as lock:
            self._process = GuardedProcess(command, identity=Identity(), log=log, lock=lock, stop_signal=signal.SIGTERM)
        assert eventually(self._answers, within=30), (self._directory / "log").read_text()[-3000:]

    def stop(self, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.end(stop_signal, within=30)
            self._process = None

    def restart(self) -> None:
        """With its data."""
        self.stop()
        self.start()

    def _answers(self) -> bool:
        with suppress(RedisError), Redis.from_url(self._probe[0]) as redis:
            return bool(redis.ping())
        return False


@contextmanager
def redis_with_tls() -> Iterator[tuple[str, RedisServer]]:
    """The URL of a server that checks clients' certificates and a password, and the server."""
    with tempfile.TemporaryDirectory(prefix="release-worker-tls-") as made:
        home, port = Path(made), free_port()
        _make_certificates(home)
        checks = f"ssl_ca_certs={home}/ca.crt&ssl_certfile={home}/own.crt&ssl_keyfile={home}/own.key"
        url = f"rediss://:{PASSWORD.replace('/', '%2F').replace('@', '%40')}@localhost:{port}/0?{checks}"
        options = ("--port", "0", "--tls-port", str(port), "--requirepass", PASSWORD)
        files = ("--tls-cert-file", f"{home}/own.crt", "--tls-key-file", f"{home}/own.key")
        server = RedisServer(home / "data", *options, *files, "--tls-ca-cert-file", f"{home}/ca.crt", probe=[url])
        server.start()
        try:
            yield url, server
        finally:
            server.stop()


class WatchedServers:
    """A master and a replica, and the three Sentinels that watch them."""

    def __init__(self, home: Path) -> None:
        self._ports = [free_port() for _ in range(2)]
        self.watching = [free_port() for _ in range(3)]
        self._servers = [self._server(home, port) for port in self._ports]
        self._sentinels = [self._sentinel(home, port) for port in self.watching]

    def url(self, database: int) -> str:
        """The master's database, in kombu's form."""
        password = PASSWORD.replace("/", "%2F").replace("@", "%40")
        return ";".join(f"sentinel://:{password}@127.0.0.1:{port}/{database}" for port in self.watching)

    def start(self) -> None:
        for server in (*self._servers, *self._sentinels):
            server.start()
        assert eventually(self._is_settled, within=60), "the Sentinels do not agree"

    def stop(self) -> None:
        for server in (*self._sentinels, *self._servers):
            server.stop()

    def fail_over(self) -> None:
        """Kill the master as a machine dies, wait until the replica is the master, and bring the dead one back."""
        before = self.master_port()
        dead = self._servers[self._ports.index(before)]
        dead.stop(signal.SIGKILL)
        assert eventually(lambda: self.master_port() != before, within=60), "no replica was promoted"
        dead.start()  # the Sentinels make it a replica

    def master_port(self) -> int:
        """Where the first Sentinel says that the master is."""
        with self._asking(self.watching[0]) as sentinel:
            _, port = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
            return int(port)

    def _is_settled(self) -> bool:
        with suppress(RedisError):
            for port in self.watching:
                with self._asking(port) as sentinel:
                    state = sentinel.sentinel_masters()[MASTER]
                    if state["num-other-sentinels"] < 2 or state["num-slaves"] < 1:
                        return False
            with Redis(port=self._ports[1], password=PASSWORD) as replica:
                return bool(replica.info("replication")["master_link_status"] == "up")
        return False

    def _asking(self, port: int) -> Redis:
        return Redis(port=port, password=SENTINEL_PASSWORD, socket_timeout=5, decode_responses=True)

    def _server(self, home: Path, port: int) -> RedisServer:
        replica = () if port == self._ports[0] else ("--replicaof", f"127.0.0.1 {self._ports[0]}")
        options = ("--port", str(port), "--requirepass", PASSWORD, "--masterauth", PASSWORD, *replica)
        password = PASSWORD.replace("/", "%2F").replace("@", "%40")
        return RedisServer(home / str(port), *options, probe=[f"redis://:{password}@127.0.0.1:{port}/0"])

    def _sentinel(self, home: Path, port: int) -> RedisServer:
        configuration = home / f"{port}.conf"
        configuration.write_text(
            f"""
            port {port}
            requirepass "{SENTINEL_PASSWORD}"
            sentinel sentinel-pass "{SENTINEL_PASSWORD}"
            sentinel monitor {MASTER} 127.0.0.1 {self._ports[0]} 2
            sentinel auth-pass {MASTER} {PASSWORD}
            sentinel down-after-milliseconds {MASTER} 1000
            sentinel failover-timeout {MASTER} 5000
            """
        )
        url = f"redis://:{SENTINEL_PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}"
        options = (str(configuration), "--sentinel")
        return RedisServer(home / str(port), *options, probe=[url], sentinel=True)


@contextmanager
def watched_servers() -> Iterator[WatchedServers]:
    """Started, and stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="release-worker-sentinel-") as made, ExitStack() as stack:
        watched = WatchedServers(Path(made))
        stack.callback(watched.stop)
        watched.start()
        yield watched


def _make_certificates(home: Path) -> None:
    """An authority, and one certificate for the server and for clients: `ca.crt`, `own.crt`, `own.key`."""
    names = home / "names"
    names.write_text("subjectAltName = DNS:localhost, IP:127.0.0.1\nextendedKeyUsage = serverAuth, clientAuth\n")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(
        "req", "-x509", *key, "-subj", "/CN=tests", "-days", "2", "-keyout", f"{home}/ca.key", "-out", f"{home}/ca.crt"
    )
    _openssl("req", *key, "-subj", "/CN=localhost", "-keyout", f"{home}/own.key", "-out", f"{home}/own.csr")
    signed = ("-CA", f"{home}/ca.crt", "-CAkey", f"{home}/ca.key", "-CAcreateserial", "-extfile", str(names))
    _openssl("x509", "-req", "-in", f"{home}/own.csr", *signed, "-days", "2", "-out", f"{home}/own.crt")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
