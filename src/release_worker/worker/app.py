"""The Celery app. Making it opens nothing and reads nothing: Celery asks for the configuration when it first needs
it."""

from typing import Any

import click
from celery import Celery
from celery.signals import (
    beat_embedded_init,
    beat_init,
    celeryd_after_setup,
    import_modules,
    setup_logging,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from release_worker.broker.careful_transport import CarefulAMQP
from release_worker.broker.signing_beat import give_signs
from release_worker.errors import NotConfigured
from release_worker.worker.chores import register_chores
from release_worker.worker.config import defaults
from release_worker.worker.deployment import on_top_of
from release_worker.worker.door import Door
from release_worker.worker.flower import show_what_is_asked
from release_worker.worker.logs import configure_logs
from release_worker.worker.metrics_port import MetricsPort
from release_worker.worker.readiness import Readiness
from release_worker.worker.runtime import close_runtime
from release_worker.worker.tasks import register_tasks


def make_app() -> Celery:
    """The worker's app: the package's settings, and those of the deployment's `celeryconfig` on top of them."""
    made = Celery("release_worker", amqp=CarefulAMQP, set_as_current=False)
    made.add_defaults(_configuration)
    register_tasks(made)
    register_chores(made)
    return made


def _configuration() -> dict[str, Any]:
    """Raises NotConfigured; for Celery's command line, an error that it prints as one line."""
    try:
        return on_top_of(defaults())
    except NotConfigured as error:
        if click.get_current_context(silent=True) is None:
            raise
        raise click.ClickException(str(error)) from error


def _on_setup_logging(loglevel: Any = None, **_: Any) -> None:
    configure_logs(loglevel)


def _on_worker_setup(**_: Any) -> None:
    _readiness.check()


def _on_worker_ready(**_: Any) -> None:
    _readiness.keep_checking()
    _metrics_port.open()
    _door.open()


def _on_worker_shutting_down(**_: Any) -> None:
    _readiness.stop()
    _door.close()


def _on_worker_shutdown(**_: Any) -> None:
    _metrics_port.close()


def _on_process_shutdown(**_: Any) -> None:
    close_runtime(app)


app = make_app()
_readiness = Readiness()
_metrics_port = MetricsPort()
_door = Door(app)
setup_logging.connect(_on_setup_logging)
import_modules.connect(show_what_is_asked)
celeryd_after_setup.connect(_on_worker_setup)
worker_ready.connect(_on_worker_ready)
worker_shutting_down.connect(_on_worker_shutting_down)
worker_shutdown.connect(_on_worker_shutdown)
worker_process_shutdown.connect(_on_process_shutdown)
beat_init.connect(give_signs)
beat_embedded_init.connect(give_signs)  # `worker --beat`
