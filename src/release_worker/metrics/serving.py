"""A port for scrapers."""

import os
import threading

from prometheus_client.exposition import start_wsgi_server
from sqlalchemy import Engine

from release_worker.domain.database import Database
from release_worker.metrics.exposition import registry_of
from release_worker.metrics.figures import read_figures
from release_worker.metrics.reading import SharedReading
from release_worker.store.engine import make_engine

STATEMENT_TIMEOUT = 4.0  # seconds; what is read takes milliseconds, unless no chore has folded it for long
FORK_WAITS = 0.2  # seconds for a reading to end


class MetricsServer:
    """Serves the metrics of a database at `http://address:port/metrics`, on threads and a connection of this process.

    A child of this process has none of these threads, and gives the port up. Raises NotConfigured, and OSError if the
    port is not to be had.
    """

    def __init__(self, database: Database | str, *, address: str, port: int, prepared_statements: bool = True) -> None:
        self._engine = metrics_engine(database, prepared_statements=prepared_statements)
        self._reading = SharedReading(lambda: read_figures(self._engine))
        self._server, self._thread = start_wsgi_server(port, address, registry_of(self._reading))
        self._closed = False
        self._forking = threading.local()  # several threads may fork
        os.register_at_fork(before=self._hold, after_in_parent=self._let_go, after_in_child=self._forget)

    @property
    def port(self) -> int:
        """The one that it listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """End the threads, and give the port up."""
        self._closed = True
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._engine.dispose()

    def wait(self) -> None:
        """Until it is closed."""
        self._thread.join()

    def _hold(self) -> None:
        """A fork copies every lock as it is: it waits a moment for a reading, which takes some. One that takes longer
        waits for the database, and holds none."""
        self._forking.holds = not self._closed and self._reading.under_way.acquire(timeout=FORK_WAITS)

    def _let_go(self) -> None:
        if self._forking.holds:
            self._reading.under_way.release()

    def _forget(self) -> None:
        """In the child: as long as it had the socket, the port would stay taken after its parent's end."""
        if not self._closed:
            self._server.socket.close()


def metrics_engine(database: Database | str, *, prepared_statements: bool = True) -> Engine:
    """An engine that reads figures, and waits for seconds at most."""
    return make_engine(
        database,
        pool_size=1,
        application_name="release_worker metrics",
        prepared_statements=prepared_statements,
        statement_timeout=STATEMENT_TIMEOUT,
    )
