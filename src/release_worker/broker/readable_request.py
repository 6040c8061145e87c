"""What Flower is told of a request by the worker that has it.

Upstream (Celery 5.7): the events of a task hold what its producer says of its arguments, and Python's representation of
an error with its traceback. A producer may be any Celery app, and a refusal has no place in the code to show.
"""

from typing import Any

from celery.worker.request import Request

from release_worker.broker.readable import error_line
from release_worker.broker.readable_messages import shown
from release_worker.errors import ReleaseWorkerError, UnexpectedFailure


class ReadableRequest(Request):
    """Celery's record of a task that arrived, for tasks that are requests."""

    _reason: BaseException | None = None

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        said = shown(self._type, self._args, self._kwargs, self._request_dict)
        self._argsrepr, self._kwargsrepr = said["argsrepr"], said["kwargsrepr"]
        self._request_dict.update(said)  # for what Celery logs in the process of the task

    def on_failure(self, exc_info: Any, *positional: Any, **options: Any) -> Any:
        """Keep the error, for the events that Celery then sends."""
        self._reason = getattr(exc_info.exception, "exc", exc_info.exception)
        return super().on_failure(exc_info, *positional, **options)

    def send_event(self, event: str, /, **fields: Any) -> None:
        """Tell an error of ours by its sentence; only a defect keeps its traceback."""
        if "exception" in fields and isinstance(self._reason, ReleaseWorkerError):
            fields["exception"] = error_line(self._reason)
            if not isinstance(self._reason, UnexpectedFailure):
                del fields["traceback"]
        super().send_event(event, **fields)
