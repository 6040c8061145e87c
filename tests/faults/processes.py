"""Celery's processes as an operator runs them, with a configuration that lets more happen within a run."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from release_worker.embedded import EmbeddedServers
from release_worker.embedded.python_process import CELERY, PythonProcess
from release_worker.settings import environment_with

STOP_SECONDS = 40.0
ROOT = Path(__file__).parents[2]

# A killed worker's messages come back after the visibility timeout, 300 s as shipped. The suite shortens it, so that
# this, too, happens within a run; it also makes the broker deliver slow tasks twice, which must not matter.
#
# A soft shutdown always takes as long as it may, 60 s as shipped.
CELERYCONFIG = """
from release_worker.broker.routing import transport_options
from release_worker.domain.limits import DEFAULTS

broker_transport_options = {**transport_options(DEFAULTS), "queue_order_strategy": "priority", "visibility_timeout": 20}
worker_soft_shutdown_timeout = 3
"""


class CeleryProcess(PythonProcess):
    """`python -m celery -A <app> …`, and what may befall it."""

    @property
    def has_worked(self) -> bool:
        """Whether it has taken a task. Until then the loss of a child ends a worker, which Celery means to do."""
        return " received" in self.said()

    def wait_until_ready(self) -> None:
        ready = f"{self.name}@" if "worker" in self.arguments else "beat: Starting"
        suffix = " ready." if "worker" in self.arguments else ""
        self.wait_until(lambda: any(ready in line and suffix in line for line in self.said().splitlines()))

    def stop_all(self) -> Callable[[], None]:
        """Stop it and all its children where they are (SIGSTOP); returns what lets the same processes go on."""
        started = self.started
        self.signal_all(signal.SIGSTOP)

        def go_on() -> None:
            if self.started == started and self.status is None:
                self.signal_all(signal.SIGCONT)

        return go_on


def environment_of(servers: EmbeddedServers, database_url: str, **settings: str) -> dict[str, str]:
    """The environment of a worker on these servers; other values, such as REMAP_SIGTERM, as they are named."""
    ours = environment_with(
        database_url=database_url,
        broker_url=servers.broker_url,
        result_backend=servers.broker_url,
        redis_url=servers.redis_url,
    )
    python_path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**ours, "PYTHONPATH": python_path, **settings}


def worker(
    name: str,
    directory: Path,
    environment: Mapping[str, str],
    *,
    children: int = 2,
    app: str = "release_worker",
    options: Sequence[str] = (),
) -> CeleryProcess:
    """A worker of all queues, not started."""
    write_celeryconfig(directory)
    arguments = ["worker", "-c", str(children), "-n", f"{name}@%h", "--loglevel", "INFO", *options]
    return _celery(name, ["celery", "-A", app, *arguments], directory, environment)


def beat(name: str, directory: Path, environment: Mapping[str, str]) -> CeleryProcess:
    """A beat with a schedule file of its own, not started."""
    write_celeryconfig(directory)
    arguments = ["beat", "--schedule", str(directory / f"{name}.schedule"), "--pidfile=", "--loglevel", "INFO"]
    return _celery(name, [*CELERY, *arguments], directory, environment)


def _celery(name: str, arguments: Sequence[str], directory: Path, environment: Mapping[str, str]) -> CeleryProcess:
    return CeleryProcess(name, arguments, directory, environment, stop_seconds=STOP_SECONDS)


def write_celeryconfig(directory: Path) -> None:
    (directory / "celeryconfig.py").write_text(CELERYCONFIG)
