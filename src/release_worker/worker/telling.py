"""The one place that every outcome passes: of an attempt, and of a request that ends without one. Metrics and events
belong here."""

from collections.abc import Mapping
from typing import Any, assert_never

import structlog

from release_worker.domain.outcomes import ClaimLost, Failed, Outcome, Postponed, Succeeded
from release_worker.domain.requests.kinds import release_fields
from release_worker.domain.text import printable

logger = structlog.get_logger(__name__)


def tell(outcome: Outcome, *, request_id: str, **about: object) -> None:
    """Log the outcome of a request, one line; `about` is what else is known of it, never its payload."""
    log = logger.bind(request_id=request_id, **about)
    match outcome:
        case Succeeded(result):
            log.info("request_succeeded", **_numbers_in(result))
        case Failed(error):
            log.warning("request_failed", error=type(error).__name__, reason=str(error))
        case Postponed(error, delay):
            log.warning("request_postponed", error=type(error).__name__, reason=str(error), delay=round(delay, 3))
        case ClaimLost():
            log.warning("request_claim_lost")
        case _:
            assert_never(outcome)


def about_request(kind: str, payload: Mapping[str, Any]) -> dict[str, object]:
    """What a log line says of a request, whatever its row or message holds: the toolset as it was named, the numbers of
    releases, and who asked."""
    names = {
        name: printable(value, 600) for name in ("toolset", "actor") if isinstance(value := payload.get(name), str)
    }
    numbers = {name: value for name in release_fields() if isinstance(value := payload.get(name), int)}
    return {"kind": printable(kind, 100), **names, **numbers}


def _numbers_in(result: Mapping[str, Any]) -> dict[str, object]:
    return {name: value for name, value in result.items() if name.endswith("release_number") and value is not None}
