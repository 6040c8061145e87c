"""What a worker does in its parent process, beside its tasks: it looks whether it can work, shows its metrics, and
listens for what is asked with SQL."""

from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup, worker_ready, worker_shutdown, worker_shutting_down

from release_worker.worker.door import Door
from release_worker.worker.metrics_port import MetricsPort
from release_worker.worker.readiness import Readiness


def attend(app: Celery) -> None:
    """From now on, do so in the parent process of a worker, from its start to its end. Call it once in a process."""
    readiness, metrics_port, door = Readiness(), MetricsPort(), Door(app)

    def on_setup(**_: Any) -> None:
        readiness.start()

    def on_ready(**_: Any) -> None:
        readiness.keep_checking()
        metrics_port.open()
        door.open()

    def on_shutting_down(**_: Any) -> None:
        readiness.stop()
        door.close()

    def on_shutdown(**_: Any) -> None:
        metrics_port.close()

    # Celery would forget functions that nobody else holds.
    celeryd_after_setup.connect(on_setup, weak=False)
    worker_ready.connect(on_ready, weak=False)
    worker_shutting_down.connect(on_shutting_down, weak=False)
    worker_shutdown.connect(on_shutdown, weak=False)
