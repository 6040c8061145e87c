"""What came in through SQL is published at once: a worker's parent process listens for it.

The sweeper would find it too, a patience later: nothing is lost if nobody listens.
"""

import threading

import structlog
from celery import Celery
from sqlalchemy import Engine

from release_worker.broker.publishing import message_of, publish
from release_worker.domain.database import channel_of
from release_worker.errors import InvalidRequest, ReleaseWorkerError
from release_worker.settings import read_settings
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.store.listening import heard, take_asked

LOOK_UP = 5.0  # seconds after which a thread that hears nothing looks if it is to end
AFTER_FAILURE = 5.0  # seconds

logger = structlog.get_logger(__name__)


class Door:
    """Listens on a thread of its own, and publishes what it hears of. One for a worker, in its parent process."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._stopping = threading.Event()

    def open(self) -> None:
        """Begin to listen; a database that cannot be reached is tried again and again."""
        threading.Thread(target=self._run, name="door", daemon=True).start()

    def close(self) -> None:
        """Listen no more, within some seconds."""
        self._stopping.set()

    def _run(self) -> None:
        told = ""
        while not self._stopping.is_set():
            try:
                self._listen()
            except ReleaseWorkerError as error:
                if str(error) != told:  # what goes on is said by `Readiness`
                    logger.warning("door_closed", error=type(error).__name__, reason=str(error))
                told = str(error)
            except Exception:  # the next try may succeed
                logger.exception("door_closed")
            self._stopping.wait(AFTER_FAILURE)

    def _listen(self) -> None:
        settings = read_settings()
        engine = make_engine(
            settings.database,
            application_name="release_worker door",
            prepared_statements=settings.prepared_statements,
        )
        try:
            for request_ids in heard(engine, channel_of(settings.database_schema), every=LOOK_UP):
                if self._stopping.is_set():
                    return
                if request_ids:
                    self._publish(engine, request_ids)
        finally:
            engine.dispose()

    def _publish(self, engine: Engine, request_ids: list[str]) -> None:
        with ledger_transaction(engine) as connection:
            asked = take_asked(connection, request_ids)
        for record in asked:
            try:
                publish(self._app, message_of(record), kept=True)
            except InvalidRequest:  # the sweeper says so in the ledger
                continue
