"""A thread that says "still here" while the main thread works."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Self

import structlog

LONGEST_CLOSE = 5.0  # seconds; a beat that is stuck in a call is left to end by itself

logger = structlog.get_logger(__name__)


class Heartbeat:
    """Calls `beat` every `interval` seconds on a daemon thread until closed.

    The first beat comes one interval after the start. What `beat` returns is ignored; what it raises is
    logged, and the next beat comes all the same. Its log lines carry the log context of the thread that
    started it. Closing wakes the thread at once and waits for a beat that is under way, `LONGEST_CLOSE`
    seconds at most.
    """

    def __init__(self, beat: Callable[[], object], *, interval: float) -> None:
        self._beat = beat
        self._interval = interval
        self._closing = threading.Event()
        run_in_context = copy_context().run
        self._thread = threading.Thread(target=run_in_context, args=(self._run,), name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop beating; closing twice is closing once."""
        self._closing.set()
        self._thread.join(LONGEST_CLOSE)
        if self._thread.is_alive():
            logger.warning("heartbeat_still_beating", waited=LONGEST_CLOSE)

    def _run(self) -> None:
        while not self._closing.wait(self._interval):
            try:
                self._beat()
            except Exception:
                logger.exception("heartbeat_failed")
