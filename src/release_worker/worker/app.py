"""The Celery app. Making it opens nothing and reads nothing: Celery asks for the configuration when it first needs
it."""

from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from celery import Celery
from celery.signals import setup_logging, worker_process_shutdown

from release_worker.broker.careful_transport import CarefulAMQP
from release_worker.worker.chores import register_chores
from release_worker.worker.config import defaults
from release_worker.worker.logs import configure_logs
from release_worker.worker.runtime import close_runtime
from release_worker.worker.tasks import register_tasks


def make_app() -> Celery:
    """The worker's app: the package's settings, and those of a `celeryconfig` module on the path on top of them."""
    made = Celery("release_worker", amqp=CarefulAMQP, set_as_current=False)
    made.add_defaults(defaults)
    if find_spec("celeryconfig"):
        # Among defaults the later win; what Celery calls configuration would lose to all of them.
        made.add_defaults(partial(import_module, "celeryconfig"))
    register_tasks(made)
    register_chores(made)
    return made


def _on_setup_logging(loglevel: Any = None, **_: Any) -> None:
    configure_logs(loglevel)


def _on_shutdown(**_: Any) -> None:
    close_runtime(app)


app = make_app()
setup_logging.connect(_on_setup_logging)
worker_process_shutdown.connect(_on_shutdown)
