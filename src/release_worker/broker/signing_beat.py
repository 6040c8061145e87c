"""A beat that says after each tick that it was sent."""

import atexit
import socket
from typing import Any

from celery.signals import after_task_publish

from release_worker.broker.signs import SignFile
from release_worker.settings import read_settings, watchdog_socket


def give_signs(**_: Any) -> None:
    """From now on, each message that this process publishes is a sign of life; for the signal `beat_init`."""
    sign = SignFile(read_settings().signs_directory, "beat", f"beat@{socket.gethostname()}", watchdog=watchdog_socket())
    atexit.register(sign.remove)

    def published(**_: Any) -> None:
        sign.write("publishing")

    after_task_publish.connect(published, weak=False)
