"""A request that was accepted, for asyncio."""

import asyncio
import time
from typing import Generic

from release_worker.client.pauses import pauses
from release_worker.client.request_handle import R, RequestHandle
from release_worker.domain.request_record import Status
from release_worker.errors import ResultTimeout


class AsyncRequestHandle(Generic[R]):
    """As `RequestHandle`, with methods to be awaited."""

    def __init__(self, handle: RequestHandle[R], look: float) -> None:
        """`look`: seconds that a thread has to wait for a result that is there."""
        self._handle = handle
        self._look = look

    def __repr__(self) -> str:
        return f"AsyncRequestHandle(kind={self.kind!r}, id={self.id!r}, published={self.published!r})"

    @property
    def id(self) -> str:
        """The id of the request's row in the ledger and of its Celery task."""
        return self._handle.id

    @property
    def kind(self) -> str:
        """What was asked for, such as `rollback`."""
        return self._handle.kind

    @property
    def published(self) -> bool:
        """False if the broker could not be reached, or if a worker is to publish the request."""
        return self._handle.published

    async def result(self, timeout: float | None = None) -> R:
        """Wait `timeout` seconds at most (None: for ever) and return the result. Raises what `RequestHandle.result`
        raises. No thread is kept while it waits; a task that is cancelled stops to wait, and the request goes on."""
        deadline = None if timeout is None else time.monotonic() + timeout
        waits = pauses()
        while True:
            try:
                return await asyncio.to_thread(self._handle.result, self._look)
            except ResultTimeout as error:
                if deadline is not None and time.monotonic() >= deadline:
                    raise ResultTimeout(**{**error.details, "timeout": timeout}) from None
            await asyncio.sleep(next(waits))

    async def status(self) -> Status:
        """How far the request is, as `RequestHandle.status`."""
        return await asyncio.to_thread(self._handle.status)

    async def cancel(self, *, actor: str, reason: str | None = None) -> None:
        """Let the request fail before a worker begins it, as `RequestHandle.cancel`."""
        await asyncio.to_thread(self._handle.cancel, actor=actor, reason=reason)
