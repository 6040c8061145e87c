"""`dev`: everything that the other commands need, on this machine, until Ctrl-C."""

import os
import shlex
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from release_worker.cli.render import command_line, say
from release_worker.domain.database import PUBLIC, Database

if TYPE_CHECKING:
    from release_worker.embedded.python_process import PythonProcess

FLOWER_PORT = 5555
# Seconds before a child that ended is started again; doubled each time, until it has run for the longest.
SHORTEST_DELAY, LONGEST_DELAY = 1.0, 30.0
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Servers:
    """Where the servers are, by setting, and where files are kept. `psql` is a shell command for servers of our own."""

    directory: Path
    settings: dict[str, str]
    own: bool
    psql: str | None = None

    @property
    def database(self) -> Database:
        """The database, and our schema of it."""
        return Database(self.settings["database_url"], self.settings["schema"])


def dev(
    directory: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Where data and logs are kept.",
            show_default="~/.local/share/release-worker; as root /var/lib/release-worker",
        ),
    ] = None,
) -> None:
    """Run everything on this machine, until Ctrl-C.

    That is PostgreSQL and Valkey from release-worker[embedded], a worker, beat and Flower. Data is kept for the next
    time, and an empty database gets a small toolset to try things on. If RELEASE_WORKER_DATABASE_URL and
    RELEASE_WORKER_BROKER_URL are set, those servers are used instead.

    Example: release-worker dev
    """
    from release_worker.operations.schema import upgrade_schema

    _stop_on_signals()
    with _servers(directory) as servers, ExitStack() as stack:
        upgrade_schema(servers.database)
        sample = _load_sample(servers)
        children, flower = _start(stack, servers)
        stack.callback(say, "", "Stopping …")
        _introduce(servers, sample=sample, flower=flower)
        _watch(children)


def _stop_on_signals() -> None:
    """Turn Ctrl-C, SIGTERM and the end of the terminal into a SystemExit that unwinds; further ones change nothing."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        for one in _STOPPING:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(0)

    for one in _STOPPING:
        signal.signal(one, stop)


@contextmanager
def _servers(directory: Path | None) -> Iterator[Servers]:
    from release_worker.embedded import default_data_directory
    from release_worker.settings import read_settings

    settings = read_settings()
    home = directory or default_data_directory()
    schema = settings.database_schema
    with _own_servers(home, schema) if settings.is_empty else _given_servers(home, schema) as servers:
        yield servers


@contextmanager
def _own_servers(home: Path, schema: str) -> Iterator[Servers]:
    from release_worker.embedded import embedded_servers
    from release_worker.embedded.wheels import postgres_binaries

    say(f"Starting PostgreSQL and Valkey in {home} …")
    with embedded_servers(home) as both:
        settings = {
            "database_url": both.database_url,
            "broker_url": both.broker_url,
            "result_backend": both.broker_url,
            "schema": schema,
        }
        psql = shlex.join([str(postgres_binaries() / "psql"), _for_psql(both.database_url)])
        yield Servers(both.directory, settings, own=True, psql=psql)


@contextmanager
def _given_servers(home: Path, schema: str) -> Iterator[Servers]:
    """The servers that are set. The directory is only for logs and beat's file, and still for one `dev` at a time."""
    from release_worker.embedded.places import kept_home
    from release_worker.embedded.process import unprivileged_identity
    from release_worker.settings import read_settings

    given = read_settings()
    settings = {name: given.require(name) for name in ("database_url", "broker_url")} | {"schema": schema}
    say("Using the servers of RELEASE_WORKER_DATABASE_URL and RELEASE_WORKER_BROKER_URL. Unset both to start own ones.")
    with kept_home(home, unprivileged_identity()) as directory:
        yield Servers(directory, settings, own=False)


def _for_psql(database_url: str) -> str:
    """The same address without SQLAlchemy's name of a driver, which psql and other languages do not know."""
    return database_url.replace("postgresql+psycopg:", "postgresql:", 1)


def _load_sample(servers: Servers) -> str | None:
    """The sample's path, if the servers are ours and hold it."""
    from release_worker.demo.sample_toolset import SAMPLE, load_sample_toolset

    if not servers.own:
        return None
    load_sample_toolset(servers.database)
    return SAMPLE


def _start(stack: ExitStack, servers: Servers) -> tuple[Sequence["PythonProcess"], int | None]:
    """The running children, and Flower's port if Flower is installed."""
    from release_worker.embedded.python_process import CELERY, PythonProcess
    from release_worker.settings import environment_with

    say("Starting a worker and beat …")
    logs = servers.directory / "logs"
    logs.mkdir(exist_ok=True)
    node = f"--hostname=dev-{os.getpid()}@%h"
    programs = {
        "worker": ["worker", "--loglevel=INFO", "--concurrency=2", node],
        "beat": ["beat", "--loglevel=INFO", "-s", str(servers.directory / "celerybeat-schedule")],
    }
    port = _free_port(FLOWER_PORT) if find_spec("flower") else None
    if port is not None:
        programs["flower"] = ["flower", "--address=127.0.0.1", f"--port={port}", "--persistent=False"]
    environment = environment_with(**servers.settings)
    # In the directory of its files, so that nothing in the one that we were called from shadows a module.
    children = [
        stack.enter_context(PythonProcess(name, [*CELERY, *arguments], logs, environment))
        for name, arguments in programs.items()
    ]
    worker = children[0]
    worker.wait_until(lambda: " ready." in worker.said())
    return children, port


def _free_port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 if it is free, otherwise another free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("port 0 is always free")


def _introduce(servers: Servers, *, sample: str | None, flower: int | None) -> None:
    say("", f"Running. Ctrl-C stops it; data is kept in {servers.directory}, logs in {servers.directory / 'logs'}.")
    if flower is None:
        say("Flower is not installed: pip install 'release-worker[flower]' and start again, to watch the tasks.")
    else:
        say(f"Flower, to watch the tasks: http://127.0.0.1:{flower}/ (FLOWER_BASIC_AUTH=NAME:PASSWORD protects it)")
    if not servers.own:
        say("The servers are those that RELEASE_WORKER_… name; in another terminal, set the same.")
        return
    say("", "In another terminal, first:", "")
    said = {name: value for name, value in servers.settings.items() if (name, value) != ("schema", PUBLIC)}
    said["database_url"] = _for_psql(said["database_url"])
    say(*(f"  export RELEASE_WORKER_{name.upper()}={shlex.quote(value)}" for name, value in said.items()))
    if sample is not None:
        say("", f"Then try the sample toolset {sample}:", "")
        say(f"  {command_line('release', sample, '--notes', 'my first release')}")
        say(f"  {command_line('show', sample, 1)}")
        say("", "Take two of its tools away, as an edit might, and put them back:", "")
        table = servers.database.named("toolset_tools")
        say(f"  {servers.psql} -c {shlex.quote(f'DELETE FROM {table} WHERE position > 2')}")
        say(f"  {command_line('rollback', sample, 1, '--plan')}")
        say(f"  {command_line('rollback', sample, 1)}")
        say(f"  {command_line('list', sample)}")


def _watch(children: Sequence["PythonProcess"]) -> None:
    """Until a signal. A child that ends by itself is started again: Celery ends a worker whose pool loses a process
    while it starts, and leaves it to whoever runs it."""
    supervised = [Supervised(child) for child in children]
    while True:
        for one in supervised:
            one.look(time.monotonic())
        time.sleep(0.2)


@dataclass
class Supervised:
    """A child that is started again if it ends, later and later if it ends again and again."""

    child: "PythonProcess"
    started_at: float = field(default_factory=time.monotonic)
    delay: float = SHORTEST_DELAY
    due: float | None = None

    def look(self, now: float) -> None:
        """Start it again if it has ended and its delay is over."""
        if self.due is not None:
            if now >= self.due:
                self.due, self.started_at = None, now
                self.child.start()
        elif self.child.status is not None:
            if now - self.started_at > LONGEST_DELAY:
                self.delay = SHORTEST_DELAY
            self.due = now + self.delay
            ended = f"{self.child.name} ended by itself with status {self.child.status}; its log is {self.child.log}"
            say(f"{ended}. It is started again in {self.delay:g} s.")
            self.child.kill_all()
            self.delay = min(2 * self.delay, LONGEST_DELAY)
