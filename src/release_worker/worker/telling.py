"""The one place that every outcome passes: of an attempt, and of a request that ends without one. Metrics and events
belong here."""

from typing import assert_never

import structlog

from release_worker.domain.outcomes import ClaimLost, Failed, Outcome, Postponed, Succeeded

logger = structlog.get_logger(__name__)


def tell(outcome: Outcome, *, request_id: str, **about: object) -> None:
    """Log the outcome of a request, one line; `about` is what else is known of it, never its payload."""
    log = logger.bind(request_id=request_id, **about)
    match outcome:
        case Succeeded():
            log.info("request_succeeded")
        case Failed(error):
            log.warning("request_failed", error=type(error).__name__, reason=str(error))
        case Postponed(error, delay):
            log.warning("request_postponed", error=type(error).__name__, reason=str(error), delay=round(delay, 3))
        case ClaimLost():
            log.warning("request_claim_lost")
        case _:
            assert_never(outcome)
