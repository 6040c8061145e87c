"""The worker's port for scrapers: in its parent process, so that there is one and no task is disturbed."""

from typing import TYPE_CHECKING

import structlog

from release_worker.errors import NotConfigured
from release_worker.settings import read_settings

if TYPE_CHECKING:
    from release_worker.metrics.serving import MetricsServer

logger = structlog.get_logger(__name__)


class MetricsPort:
    """Open from `open` to `close`, if the settings name a port. A worker that cannot have it works all the same."""

    def __init__(self) -> None:
        self._server: MetricsServer | None = None

    def open(self) -> None:
        """Show the metrics. What is imported for that is there before the next fork."""
        try:
            settings = read_settings()
            if settings.metrics_port is None:
                return
            from release_worker.metrics.serving import MetricsServer

            self._server = MetricsServer(
                settings.database,
                address=settings.metrics_address,
                port=settings.metrics_port,
                prepared_statements=settings.prepared_statements,
            )
        except NotConfigured as error:
            logger.warning("metrics_not_shown", reason=str(error))
        except OSError as error:
            logger.warning("metrics_not_shown", port=settings.metrics_port, reason=str(error))
        else:
            logger.info("metrics_shown", address=settings.metrics_address, port=self._server.port)

    def close(self) -> None:
        """Give the port up."""
        if self._server is not None:
            self._server.close()
            self._server = None
