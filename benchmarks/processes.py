"""Workers as subprocesses: started once, and measured while they live."""

from collections.abc import Sequence
from pathlib import Path

from celery import Celery

from benchmarks.stage import ROOT, Site
from release_worker.embedded.python_process import PythonProcess

CHILDREN = 2  # of every contender, one task at a time each


def worker_process(name: str, arguments: Sequence[str], site: Site) -> PythonProcess:
    """`python -m <arguments>` in the repository, with its log in the servers' directory. Not started. Ended at once:
    whatever it was asked for has been settled, or has failed."""
    return PythonProcess(name, arguments, ROOT, site.environment, logs=site.directory, stop_seconds=0)


def celery_worker(name: str, app: str, site: Site, *, children: int = CHILDREN) -> PythonProcess:
    """The command of the Dockerfile, with so many children. Not started."""
    return worker_process(name, ["celery", "-A", app, "worker", "-c", str(children), "-n", f"{name}@%h"], site)


def wait_for_celery(worker: PythonProcess, site: Site) -> None:
    """Until it answers a ping: its children are there then."""
    with Celery("ping", broker=site.broker_url, set_as_current=False) as app:
        worker.wait_until(lambda: bool(app.control.ping(timeout=0.5, limit=1)))


def resident_bytes(pid: int, *, peak: bool) -> int:
    """The resident memory of a process, now or at its highest so far."""
    field = "VmHWM:" if peak else "VmRSS:"
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)
