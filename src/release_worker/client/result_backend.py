"""Celery's result backend, for clients without a database."""

from typing import TYPE_CHECKING, Any

from celery.exceptions import BackendError
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult
from kombu.exceptions import OperationalError

from release_worker.errors import ResultTimeout, ResultUnavailable

if TYPE_CHECKING:
    from release_worker.domain.request_record import Status

# What Celery raises if it cannot reach the result backend, or loses it while it waits.
_BACKEND_AWAY = (BackendError, OperationalError, OSError, RuntimeError)
# Celery's words for what is neither begun nor waits to be tried again.
_STATUSES: "dict[str, Status]" = {"STARTED": "running", "SUCCESS": "succeeded", "FAILURE": "failed"}


def answer_of(awaited: AsyncResult, request_id: str, timeout: float | None) -> Any:
    """The fields of a request's result. Raises the request's error, ResultTimeout and ResultUnavailable."""
    try:
        return awaited.get(timeout=timeout)
    except CeleryTimeoutError:
        raise ResultTimeout(request_id=request_id, timeout=timeout, status="not finished") from None
    except _BACKEND_AWAY as error:
        raise _unavailable(awaited, request_id, error) from error


def state_of(awaited: AsyncResult, request_id: str) -> "Status":
    """How far a request is, as far as Celery knows. Raises ResultUnavailable."""
    try:
        return _STATUSES.get(awaited.state, "queued")
    except _BACKEND_AWAY as error:
        raise _unavailable(awaited, request_id, error) from error


def _unavailable(awaited: AsyncResult, request_id: str, error: Exception) -> ResultUnavailable:
    awaited.backend = None  # or else it would unsubscribe when it is collected, and fail aloud
    reason = " ".join(str(error).split())
    return ResultUnavailable(request_id=request_id, reason=f"the result backend is away: {reason}")
