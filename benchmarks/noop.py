"""A task that does nothing, in the product's own Celery app: `celery -A benchmarks.noop worker`."""

from release_worker.worker.app import app

NAME = "benchmarks.noop"


@app.task(name=NAME)
def noop() -> None:
    """Everything that Celery does for a task, and nothing else."""
