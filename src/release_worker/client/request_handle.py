"""A request that was accepted, and the wait for its result."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar, cast

if TYPE_CHECKING:
    from release_worker.domain.requests.request import Result

R = TypeVar("R", bound="Result")
# Given a request's id and kind, and seconds to wait (None: for ever): its result.
Wait = Callable[[str, str, float | None], "Result"]


class RequestHandle(Generic[R]):
    """`id` is that of the request's row in the ledger and of its Celery task. `published` is False if the broker
    could not be reached, or if the caller's transaction has not ended yet."""

    def __init__(self, wait: Wait, request_id: str, kind: str, *, published: bool = False) -> None:
        self._wait = wait
        self.id = request_id
        self.kind = kind
        self.published = published

    def __repr__(self) -> str:
        return f"RequestHandle(kind={self.kind!r}, id={self.id!r}, published={self.published!r})"

    def result(self, timeout: float | None = None) -> R:
        """Wait `timeout` seconds at most (None: for ever) and return the result.

        Raises the error of a request that failed, and
        - ResultTimeout and ResultUnavailable, after which the request goes on;
        - RequestNotFound if the ledger has no such request and no transaction of this process is about to write it;
        - InvalidRequest if this very thread has to end that transaction first: the wait would never end.
        Without a database, a request that does not exist is waited for like any other.
        """
        return cast(R, self._wait(self.id, self.kind, timeout))
