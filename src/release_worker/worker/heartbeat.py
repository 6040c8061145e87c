"""A thread that says "still here" while the main thread works."""

import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Self

import structlog

from release_worker.domain.limits import DEFAULTS

LONGEST_CLOSE = DEFAULTS.heartbeat_close  # seconds; a beat that is stuck in a call is left to end by itself
RETRY_AFTER = 1.0  # seconds, if a heartbeat's thread could not be started

logger = structlog.get_logger(__name__)


class Heartbeat:
    """Calls `beat` every `interval` seconds on a daemon thread until closed.

    The first beat comes one interval after the start, and the thread with it: work that is done before has none. What
    `beat` returns is ignored; what it raises is logged, and the next beat comes all the same. Its log lines carry the
    log context of the thread that started it. Closing wakes the thread at once and waits for a beat that is under way,
    `LONGEST_CLOSE` seconds at most.
    """

    def __init__(self, beat: Callable[[], object], *, interval: float) -> None:
        self._beat = beat
        self._interval = interval
        self._closing = threading.Event()
        self._in_context = copy_context().run
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        _starter.add(self, time.monotonic() + self._interval)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        except BaseException:  # a time limit, which strikes anywhere: a heartbeat must not go on for ever
            self.close()
            raise

    def close(self) -> None:
        """Stop beating; closing twice is closing once."""
        _starter.discard(self)
        if self._thread is None:
            return
        self._closing.set()
        self._thread.join(LONGEST_CLOSE)
        if self._thread.is_alive():
            logger.warning("heartbeat_still_beating", waited=LONGEST_CLOSE)

    def start_beating(self) -> None:
        """Beat now, and from now on."""
        thread = threading.Thread(target=self._in_context, args=(self._run,), name="heartbeat", daemon=True)
        thread.start()
        self._thread = thread

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._beat()
            except Exception:
                logger.exception("heartbeat_failed")
            self._closing.wait(self._interval)


class _Starter:
    """The one thread of a process that gives each heartbeat a thread of its own when its first beat is due."""

    def __init__(self) -> None:
        self.begin_anew()
        os.register_at_fork(after_in_child=self.begin_anew)  # a child has none of its parent's threads

    def begin_anew(self) -> None:
        """Know of no heartbeat and no thread."""
        self._changed = threading.Condition()
        self._due: dict[Heartbeat, float] = {}
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def add(self, heartbeat: Heartbeat, due: float) -> None:
        """Have it beat from `due` on, in the time of `time.monotonic`, unless it is discarded before."""
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)
                thread.start()
                self._thread = thread
            self._due[heartbeat] = due
            if due < self._wakes_at:
                self._changed.notify()

    def discard(self, heartbeat: Heartbeat) -> None:
        """Once this has returned, it is not started any more."""
        with self._changed:
            self._due.pop(heartbeat, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                self._start_due()
                self._wakes_at = min(self._due.values(), default=math.inf)
                self._changed.wait(None if self._wakes_at == math.inf else self._wakes_at - time.monotonic())

    def _start_due(self) -> None:
        for heartbeat in [one for one, due in self._due.items() if due <= time.monotonic()]:
            self._due[heartbeat] = time.monotonic() + RETRY_AFTER
            try:
                heartbeat.start_beating()
                del self._due[heartbeat]
            except Exception:  # the process may have no room for another thread; perhaps in a moment
                with suppress(Exception):
                    logger.exception("heartbeat_not_started")


_starter = _Starter()
