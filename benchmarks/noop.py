"""A task that does nothing, in Celery as it comes, with the product's settings: `celery -A benchmarks.noop worker`."""

from typing import Any

from celery import Celery
from celery.signals import setup_logging

from release_worker.worker.config import defaults
from release_worker.worker.logs import configure_logs

NAME = "benchmarks.noop"

app = Celery("benchmarks.noop", set_as_current=False)
app.add_defaults(defaults)


@app.task(name=NAME)
def noop() -> None:
    """Everything that Celery does for a task, and nothing else."""


def _as_in_the_product(loglevel: Any = None, **_: Any) -> None:
    configure_logs(loglevel)


setup_logging.connect(_as_in_the_product)
