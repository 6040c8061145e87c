"""A client for the tests of apps: it needs no server, and answers at once as a worker would."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

from uuid_utils import uuid7

from release_worker.client.asking import Handle
from release_worker.client.bulk_requests import ReleaseOptions, requests_for
from release_worker.client.release_client import ReleaseClient
from release_worker.domain.requests.kinds import KINDS, validate_request
from release_worker.domain.requests.request import Request, Result
from release_worker.errors import (
    IdempotencyConflict,
    InvalidRequest,
    NotConfigured,
    ReleaseWorkerError,
    RequestNotFound,
    ToolsetNotFound,
)
from release_worker.testing.fake_answers import FakeToolsets

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Engine

    from release_worker.client.doors import Door, OpenTransaction
    from release_worker.client.request_handle import RequestHandle
    from release_worker.client.transactions import CallersTransaction
    from release_worker.domain.request_record import Status
    from release_worker.domain.requests.create_release import CreateReleaseResult

Answer = Mapping[str, Any] | ReleaseWorkerError


@dataclass(frozen=True, slots=True)
class FakeRequest:
    """A request that the app has made: `request` has its fields, such as `request.toolset` and `request.notes`."""

    id: str
    request: Any  # which fields there are depends on the kind

    @property
    def kind(self) -> str:
        """What was asked for, such as `rollback`."""
        return str(self.request.kind)


class FakeReleaseClient(ReleaseClient):
    """Has the methods of `ReleaseClient` that ask, and keeps what was asked in `seen`, in its order.

    Each request succeeds at once: releases are numbered 1, 2, 3, … for each toolset, and each rollback ends where it
    was to; but one `to` a release that is not among these fails with ReleaseNotFound. `will_return` and `will_raise`
    say what is to come of the requests of a kind instead, and `will_refuse` that they cannot be asked for; the last of
    these calls counts. Arguments are checked as the real client checks them, and idempotency keys mean what they mean
    in the ledger. With `session=`, a request counts once that session has committed; with a plain connection, which
    does not tell that, at once. With `toolsets`, their names, all others are not there.

    What needs a database (`release_all`, `wait`, `retry`, `cancel`, `editing`, bundles, freezes, schedules) raises
    NotConfigured. So do the methods that add, show and edit toolsets, after they have checked their arguments.
    """

    def __init__(self, *, toolsets: set[str] | None = None) -> None:
        """Opens nothing and reads no environment."""
        super().__init__(broker_url="memory://")
        self.seen: list[FakeRequest] = []
        self._known = toolsets
        self._toolsets = FakeToolsets()
        self._set: dict[tuple[str, str | None], Answer] = {}
        self._refused: dict[tuple[str, str | None], ReleaseWorkerError] = {}
        self._ended: dict[str, Answer] = {}
        self._open: list[tuple[FakeRequest, OpenTransaction]] = []  # of sessions that have not committed

    def will_return(self, kind: str, *, toolset: str | None = None, **fields: Any) -> None:
        """From now on, requests of this kind (for this toolset) have these fields in their results, and the others as
        before; without any field, they are answered as at first. Raises InvalidRequest if there is no such kind, and
        ValueError for a field that its result does not have."""
        unknown = fields.keys() - _kind(kind).result.names().values()
        if unknown:
            raise ValueError(f"the result of {kind} has no field {', '.join(sorted(unknown))}")
        self._refused.pop((kind, toolset), None)
        self._set[kind, toolset] = fields

    def will_raise(self, kind: str, error: ReleaseWorkerError, *, toolset: str | None = None) -> None:
        """From now on, requests of this kind (for this toolset) fail with this error. Raises InvalidRequest if there is
        no such kind."""
        self._refused.pop((kind, toolset), None)
        self._set[_kind(kind).kind, toolset] = error

    def will_refuse(self, kind: str, error: ReleaseWorkerError, *, toolset: str | None = None) -> None:
        """From now on, whoever asks for this kind (for this toolset) gets this error at once, such as
        BrokerUnavailable, and nothing is kept. Raises InvalidRequest if there is no such kind."""
        self._refused[_kind(kind).kind, toolset] = error

    def asked(self, kind: str) -> list[Any]:
        """The requests of one kind, in their order: each has the fields of its kind."""
        return [one.request for one in self.seen if one.kind == kind]

    def handle(self, request_id: str, kind: str | None = None, *, organization: str | None = None) -> Handle:
        """As that of the real client; of the requests that this client was asked."""
        found = next((one for one in self.seen if one.id == request_id), None)
        if found is None:
            raise RequestNotFound(request_id=request_id)
        return Handle(self, found.id, found.kind, published=True)

    def _submit(self, kind: str, fields: Mapping[str, Any], session: "CallersTransaction | None") -> Handle:
        request = validate_request(kind, fields)
        [handle] = self._accept_all([request], None if session is None else self._door(session))
        return handle

    async def _submit_on(self, connection: "psycopg.AsyncConnection[Any]", request: Request) -> Handle:
        [handle] = await self._submit_each_on(connection, [request])
        return handle

    async def _submit_each_on(
        self, connection: "psycopg.AsyncConnection[Any]", requests: Sequence[Request]
    ) -> list[Handle]:
        from release_worker.client.doors import refuse_autocommit

        refuse_autocommit(connection)
        return self._accept_all(requests, None)

    def _accept_all(self, requests: Sequence[Request], door: "Door | None") -> list[Handle]:
        """Accept all of them, or none."""
        made: list[FakeRequest] = []
        for request in requests:
            self._refuse(request)
            made.append(self._earlier(request, made) or FakeRequest(str(uuid7()), request))
        return [self._handle_of_one(one, door) for one in made]

    def _refuse(self, request: Request) -> None:
        if self._known is not None and request.toolset not in self._known:
            raise ToolsetNotFound(toolset=request.toolset)
        refused = self._refused.get((request.kind, request.toolset), self._refused.get((request.kind, None)))
        if refused is not None:
            raise refused

    def _handle_of_one(self, made: FakeRequest, door: "Door | None") -> Handle:
        handle = Handle(self, made.id, made.kind, published=made in self.seen)
        if handle.published or made in (one for one, _ in self._open):
            return handle

        def accept() -> None:
            self._accept(made)
            handle.published = True

        if door is None or door.announced:
            accept()
        else:
            self._open.append((made, door.transaction()))
            door.after_commit(accept)
        return handle

    def create_releases(
        self,
        releases: Iterable[str | Mapping[str, Any]],
        *,
        session: "CallersTransaction | None" = None,
        **options: Unpack[ReleaseOptions],
    ) -> "list[RequestHandle[CreateReleaseResult]]":
        """As that of the real client; also in a session, all requests are accepted, or none."""
        requests = requests_for(releases, options)
        return self._accept_all(requests, None if session is None else self._door(session))

    def _earlier(self, request: Request, beside: Sequence[FakeRequest]) -> FakeRequest | None:
        key = request.idempotency_key
        self._open = [(one, transaction) for one, transaction in self._open if transaction.is_open()]
        known = (*self.seen, *(one for one, _ in self._open), *beside)
        same = (one for one in known if (one.request.toolset, one.request.idempotency_key) == (request.toolset, key))
        earlier = None if key is None else next(same, None)
        if earlier is not None and (differing := earlier.request.differing(request)):
            raise IdempotencyConflict(idempotency_key=key, request_id=earlier.id, differing=differing)
        return earlier

    def _accept(self, made: FakeRequest) -> None:
        request = made.request
        self.seen.append(made)
        said = self._set.get((request.kind, request.toolset), self._set.get((request.kind, None), {}))
        self._ended[made.id] = said if isinstance(said, ReleaseWorkerError) else self._answer(request, said)

    def _answer(self, request: Request, said: Mapping[str, Any]) -> Answer:
        try:
            return self._toolsets.answer(request, said)
        except ReleaseWorkerError as error:
            return error

    def _status_of(self, request_id: str) -> "Status":
        """How the request has ended, or `queued` while its session has not committed."""
        ended = self._ended.get(request_id)
        return "queued" if ended is None else "failed" if isinstance(ended, ReleaseWorkerError) else "succeeded"

    def _wait_for(
        self, request_id: str, kind: str, timeout: float | None, made_in: "OpenTransaction | None" = None
    ) -> Result:
        """What the test has set, or what a worker would answer."""
        ended = self._ended.get(request_id)
        if ended is None:
            problem = "commit the transaction that made this request first"
            raise InvalidRequest(problem, problems=[{"field": "session", "problem": problem}])
        if isinstance(ended, ReleaseWorkerError):
            raise ended
        return KINDS[kind].result.model_validate(ended)

    def _engine(self) -> "Engine":
        raise NotConfigured("a fake client has no database", setting="RELEASE_WORKER_DATABASE_URL")


def _kind(kind: str) -> type[Request]:
    if kind not in KINDS:
        raise InvalidRequest(
            f"there is no kind of request {kind!r}", problems=[{"field": "kind", "problem": "unknown"}]
        )
    return KINDS[kind]
