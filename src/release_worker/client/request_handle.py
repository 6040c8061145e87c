"""A request that was accepted, and the wait for its result."""

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from release_worker.client.doors import OpenTransaction
    from release_worker.domain.request_record import Status
    from release_worker.domain.requests.request import Result

R = TypeVar("R", bound="Result")


class Answering(Protocol):
    """What a handle needs of the client that made it."""

    def _wait_for(
        self, request_id: str, kind: str, timeout: float | None, made_in: "OpenTransaction | None"
    ) -> "Result":
        """The result of a request, waited for `timeout` seconds at most (None: for ever)."""

    def _status_of(self, request_id: str) -> "Status":
        """How far a request is."""

    def cancel(self, request_id: str, *, actor: str, reason: str | None = None) -> None:
        """Let a queued request fail, before a worker begins it."""


class RequestHandle(Generic[R]):
    """`id` is that of the request's row in the ledger and of its Celery task. `published` is False if the broker
    could not be reached, if the caller's transaction has not ended yet, or if a worker is to publish it."""

    def __init__(
        self,
        client: Answering,
        request_id: str,
        kind: str,
        *,
        published: bool = False,
        made_in: "OpenTransaction | None" = None,
    ) -> None:
        self._client = client
        self._made_in = made_in
        self.id = request_id
        self.kind = kind
        self.published = published

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kind={self.kind!r}, id={self.id!r}, published={self.published!r})"

    def result(self, timeout: float | None = None) -> R:
        """Wait `timeout` seconds at most (None: for ever) and return the result.

        Raises the error of a request that failed, and
        - ResultTimeout and ResultUnavailable, after which the request goes on;
        - RequestNotFound if the ledger has no such request and no transaction of this process is about to write it;
        - InvalidRequest if this very thread has to end that transaction first: the wait would never end.
        Without a database, a request that does not exist is waited for like any other.
        """
        return cast(R, self._client._wait_for(self.id, self.kind, timeout, self._made_in))

    def status(self) -> "Status":
        """How far the request is: `queued`, `running`, `succeeded` or `failed`.

        Without a database, a request counts as queued until it has ended, and so does one that does not exist, or whose
        result Celery was asked not to store. Raises RequestNotFound, also for one whose transaction has not been
        committed, and ResultUnavailable.
        """
        return self._client._status_of(self.id)

    def cancel(self, *, actor: str, reason: str | None = None) -> None:
        """Let the request fail with RequestCancelled, before a worker begins it. Needs a database. Raises
        RequestNotQueued for one that is running or has ended, RequestNotFound, and VersionConflict if a worker has had
        its row for ten seconds."""
        self._client.cancel(self.id, actor=actor, reason=reason)
