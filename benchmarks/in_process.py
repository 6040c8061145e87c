"""The worker's task called in this very process: the whole of it but Celery's transport, and every statement seen."""

import logging
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import uuid4

import structlog

from benchmarks.stage import Site, Stage
from release_worker.broker.routing import TASKS


@dataclass(frozen=True, slots=True)
class Answer:
    """A task's result, and the seconds that it took."""

    result: dict[str, Any]
    seconds: float


class InProcessWorker:
    """Does what a worker's child does with a message."""

    def __init__(self, site: Site) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        os.environ.update(site.environment)
        from release_worker.worker.app import app
        from release_worker.worker.runtime import close_runtime

        self.site = site
        self._app = app
        self._close = close_runtime

    def close(self) -> None:
        self._close(self._app)

    def create_release(self, path: str, *, request_id: str | None = None) -> Answer:
        """Raises the error of a release that failed."""
        return self._call("create_release", request_id, toolset=path, actor="benchmark")

    def rollback(self, path: str, release_number: int) -> Answer:
        """Raises the error of a rollback that failed."""
        return self._call("rollback", None, toolset=path, actor="benchmark", release_number=release_number)

    def _call(self, kind: str, request_id: str | None, **arguments: Any) -> Answer:
        task = self._app.tasks[TASKS[kind]]
        began = time.perf_counter()
        answered = task.apply(kwargs=arguments, task_id=request_id or str(uuid4()), throw=True)
        return Answer(answered.result, time.perf_counter() - began)


@lru_cache(maxsize=1)
def in_process_worker(stage: Stage) -> InProcessWorker:
    """The one of this process, whose runtime is made once, on a site of its own."""
    return InProcessWorker(stage.site("in_process"))
