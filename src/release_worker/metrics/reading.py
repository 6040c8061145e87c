"""Reading figures for whoever asks, however many ask, and however slow the database is."""

import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future

import structlog

from release_worker.errors import ReleaseWorkerError
from release_worker.metrics.figures import Figures, nothing

KEPT_FOR = 1.0  # seconds for which an answer is given again
PATIENCE = 8.0  # seconds for which whoever asks waits; a scraper waits for 10 by default

logger = structlog.get_logger(__name__)


class SharedReading:
    """Calls `read` on a thread of its own, never twice at a time, and gives all who ask meanwhile the same answer.

    If there is none within `patience` seconds, or it fails, they get `nothing()`; a reading that hangs goes on alone,
    and no other is begun beside it. `under_way` is locked while one reads.
    """

    def __init__(self, read: Callable[[], Figures], *, kept_for: float = KEPT_FOR, patience: float = PATIENCE) -> None:
        self._read = read
        self._kept_for, self._patience = kept_for, patience
        self._turn = threading.Lock()
        self._latest: Future[Figures] | None = None
        self._fresh_until = 0.0
        self._answers = True
        self.under_way = threading.Lock()

    def __call__(self) -> Figures:
        """The figures. Never raises."""
        try:
            figures = self._current().result(self._patience)
        except (TimeoutError, ReleaseWorkerError) as error:
            self._note(error)
            return nothing()
        self._note(None)
        return figures

    def _current(self) -> Future[Figures]:
        with self._turn:
            if self._latest is None or (self._latest.done() and time.monotonic() > self._fresh_until):
                self._latest = Future()
                threading.Thread(target=self._run, args=(self._latest,), name="metrics", daemon=True).start()
            return self._latest

    def _run(self, answer: Future[Figures]) -> None:
        with self.under_way:
            try:
                figures = self._read()
            except ReleaseWorkerError as error:
                found: Figures | ReleaseWorkerError = error
            except BaseException:
                # As text: outside of a worker, structlog shows the values of variables too, and with them passwords.
                logger.exception("metrics_broke", exc_info=False, exception=traceback.format_exc())
                found = ReleaseWorkerError("an unexpected failure, a defect")
            else:
                found = figures
        self._fresh_until = time.monotonic() + self._kept_for
        if isinstance(found, ReleaseWorkerError):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def _note(self, error: Exception | None) -> None:
        """Log a line when it stops answering, and when it answers again."""
        answers = error is None
        if answers != self._answers:
            if error is None:
                logger.info("metrics_can_be_read_again")
            else:
                logger.warning("metrics_cannot_be_read", reason=str(error) or f"no answer within {self._patience:g} s")
        self._answers = answers
