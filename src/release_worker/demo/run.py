"""Servers, worker, story, report; then nothing of it is left, however it ends."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from release_worker.client import ReleaseClient
from release_worker.demo.database import Database
from release_worker.demo.progress import Progress
from release_worker.demo.report import Report, read_report
from release_worker.demo.signals import ignore_signals, unwound_by_signals
from release_worker.demo.story import Story
from release_worker.domain.database import PUBLIC
from release_worker.domain.text import printable
from release_worker.embedded import EmbeddedServers, embedded_servers
from release_worker.embedded.python_process import CELERY, PythonProcess
from release_worker.settings import environment_with

LOG_LINES = 20


def run(progress: Progress) -> Report:
    """The whole demo. Raises NotConfigured if the servers are not installed, and what a request raises."""
    with unwound_by_signals(), ExitStack() as stack:
        with progress.step("Starting PostgreSQL and Valkey") as done:
            servers = stack.enter_context(embedded_servers())
            done(f"PostgreSQL and Valkey started in {servers.directory}")
        worker = stack.enter_context(_worker(servers))
        stack.enter_context(_log_shown_on_failure(worker, progress))
        database = stack.enter_context(Database(servers.database_url))
        client = ReleaseClient(broker_url=servers.broker_url, database_url=servers.database_url)
        story = Story(database, stack.enter_context(client), worker, progress)
        report = read_report(database, story.tell(), progress.steps)
        if not report.ok:
            _show_log(worker, progress)
        with progress.step("Stopping the worker and the servers") as done:
            ignore_signals()
            stack.close()
            done("Worker and servers stopped, directory removed")
    return replace(report, seconds=progress.seconds)


def _worker(servers: EmbeddedServers) -> PythonProcess:
    """With all five settings, so that none is somebody's. Celery would let BROKER_URL win, but for a command line."""
    environment = environment_with(
        database_url=servers.database_url,
        broker_url=servers.broker_url,
        result_backend=servers.broker_url,
        redis_url=servers.redis_url,
        schema=PUBLIC,
    )
    addresses = ["--broker", servers.broker_url, "--result-backend", servers.broker_url]
    arguments = [*CELERY, *addresses, "worker", "--concurrency", "2", "--loglevel", "INFO"]
    return PythonProcess("worker", arguments, servers.directory, environment)


@contextmanager
def _log_shown_on_failure(worker: PythonProcess, progress: Progress) -> Iterator[None]:
    try:
        yield
    except Exception:
        _show_log(worker, progress)
        raise


def _show_log(worker: PythonProcess, progress: Progress) -> None:
    lines = worker.said().expandtabs().splitlines()[-LOG_LINES:]
    tail = "\n".join(printable(line, len(line)) for line in lines)
    progress.console.print(f"The worker's log ends:\n{tail or '(it is empty)'}", soft_wrap=True)
