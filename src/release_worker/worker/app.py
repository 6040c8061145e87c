"""The Celery app. Making it opens nothing and reads nothing: Celery asks for the configuration when it first needs
it."""

from typing import Any

import click
from celery import Celery
from celery.signals import (
    beat_embedded_init,
    beat_init,
    import_modules,
    setup_logging,
    worker_process_shutdown,
)

from release_worker.broker.careful_transport import CarefulAMQP
from release_worker.broker.signing_beat import give_signs
from release_worker.errors import NotConfigured
from release_worker.worker.attending import attend
from release_worker.worker.chores import register_chores
from release_worker.worker.config import defaults
from release_worker.worker.deployment import on_top_of
from release_worker.worker.flower import show_what_is_asked
from release_worker.worker.logs import configure_logs
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


def _on_process_shutdown(**_: Any) -> None:
    close_runtime(app)


app = make_app()
attend(app)
setup_logging.connect(_on_setup_logging)
import_modules.connect(show_what_is_asked)
worker_process_shutdown.connect(_on_process_shutdown)
beat_init.connect(give_signs)
beat_embedded_init.connect(give_signs)  # `worker --beat`
