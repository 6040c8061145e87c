"""A worker says if it cannot work: at its start, and again until it can. It goes on waiting meanwhile, for what is
wrong may end without it: a database that starts later, a schema that is upgraded."""

import threading
from contextlib import suppress

import structlog

from release_worker.errors import ReleaseWorkerError
from release_worker.operations.schema import SchemaAge, schema_age
from release_worker.settings import read_settings

SAY_AGAIN = 30.0  # seconds

logger = structlog.get_logger(__name__)

_SENTENCES = {
    SchemaAge.MISSING: "the database has no tables of release-worker in schema {schema}: if RELEASE_WORKER_SCHEMA is "
    "right, run `release-worker db upgrade`",
    SchemaAge.OLDER: "the schema is older than this worker: run `release-worker db upgrade`",
}
_NEWER = "the schema is newer than this worker, which goes on as it is: upgrade it soon"


class Readiness:
    """What is known of whether this process's worker can work. One for a worker, in its parent process. It looks again
    every `interval` seconds."""

    def __init__(self, interval: float = SAY_AGAIN) -> None:
        self._interval = interval
        self._stopping = threading.Event()
        self._was_told = False

    def start(self) -> None:
        """Say where this worker looks for its tables, and look."""
        with suppress(ReleaseWorkerError):  # `check` says it
            logger.info("worker_starts", schema=read_settings().database_schema)
        self.check()

    def check(self) -> None:
        """Look, and log a line if this worker cannot work, or can again."""
        try:
            database = read_settings().database
            age = schema_age(database)
        except ReleaseWorkerError as error:
            self._cannot_work(type(error).__name__, str(error))
            return
        if age in _SENTENCES:
            self._cannot_work("NotConfigured", _SENTENCES[age].format(schema=database.schema))
            return
        if age is SchemaAge.NEWER:
            logger.warning("schema_is_newer", reason=_NEWER)
        if self._was_told:
            logger.warning("worker_can_work_again")
        self._was_told = False

    def keep_checking(self) -> None:
        """Look again and again, on a thread of its own, until stopped."""
        threading.Thread(target=self._run, name="readiness", daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval):
            try:
                self.check()
            except Exception:  # the next look may succeed
                logger.exception("readiness_not_checked")

    def _cannot_work(self, error: str, reason: str) -> None:
        self._was_told = True
        logger.error("worker_cannot_work", error=error, reason=reason)
