"""A client for asyncio: the methods of `ReleaseClient`, each to be awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from release_worker.client.async_doors import ends_of, is_async_psycopg
from release_worker.client.async_handle import AsyncRequestHandle
from release_worker.client.bulk_requests import ReleaseOptions, ended_as, requests_for
from release_worker.client.drafting import Draft, DraftingClient
from release_worker.client.release_client import ReleaseClient
from release_worker.client.request_handle import RequestHandle
from release_worker.domain.database import PUBLIC
from release_worker.domain.server_urls import Sentinel
from release_worker.errors import ReleaseWorkerError

if TYPE_CHECKING:
    from release_worker.client.transactions import CallersTransaction
    from release_worker.domain.requests.create_release import CreateReleaseResult
    from release_worker.domain.requests.request import Result

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound="Result")
C = TypeVar("C", bound=Callable[..., Any])


def _asked(
    method: Callable[Concatenate[Any, P], RequestHandle[R]],
) -> "Callable[Concatenate[AsyncReleaseClient, P], Awaitable[AsyncRequestHandle[R]]]":
    """The method of a client that asks, to be awaited."""

    async def ask(self: "AsyncReleaseClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncRequestHandle[R]:
        return self._to_await(await self._ask(method, args, kwargs))

    return _called_as(method, ask)


def _asked_of_many(
    method: Callable[Concatenate[Any, P], Mapping[str, RequestHandle[R]]],
) -> "Callable[Concatenate[AsyncReleaseClient, P], Awaitable[dict[str, AsyncRequestHandle[R]]]]":
    """The method of a client that makes many requests, to be awaited."""

    async def ask(self: "AsyncReleaseClient", /, *args: P.args, **kwargs: P.kwargs) -> dict[str, AsyncRequestHandle[R]]:
        handles = await self._call(method, args, kwargs)
        return {toolset: self._to_await(handle) for toolset, handle in handles.items()}

    return _called_as(method, ask)


def _awaited(
    method: Callable[Concatenate[Any, P], T],
) -> "Callable[Concatenate[AsyncReleaseClient, P], Awaitable[T]]":
    """The method of a client that does something at once, to be awaited."""

    async def call(self: "AsyncReleaseClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._call(method, args, kwargs)

    return _called_as(method, call)


def _called_as(method: Callable[..., Any], awaited: C) -> C:
    """With the name and the documentation of the method that it stands for."""
    update_wrapper(awaited, method)
    return awaited


class AsyncReleaseClient:
    """`ReleaseClient` for asyncio: the same calls with the same promise, each to be awaited, and handles whose `result`
    is to be awaited too.

    `session` may also be an `AsyncSession`, or an `AsyncConnection` of SQLAlchemy or psycopg; workers hear of such a
    request with the commit. Nothing blocks the event loop: what waits for a server does so in a thread.
    """

    def __init__(
        self,
        *,
        broker_url: str,
        result_backend: str | None = None,
        database_url: str | None = None,
        prepared_statements: bool = True,
        sentinel: Sentinel | None = None,
        schema: str = PUBLIC,
        secret_keys: str | None = None,
    ) -> None:
        """As `ReleaseClient`. Raises NotConfigured."""
        self._client = ReleaseClient(
            broker_url=broker_url,
            result_backend=result_backend,
            database_url=database_url,
            prepared_statements=prepared_statements,
            sentinel=sentinel,
            schema=schema,
            secret_keys=secret_keys,
        )

    @classmethod
    def of(cls, client: ReleaseClient) -> Self:
        """One that asks as `client` would, over the same connections; who closes the one closes the other."""
        made = cls.__new__(cls)
        made._client = client
        return made

    @classmethod
    def from_env(cls) -> Self:
        """A client for the addresses in `RELEASE_WORKER_…`. Raises NotConfigured if the broker is not set."""
        return cls.of(ReleaseClient.from_env())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    close = _awaited(ReleaseClient.close)

    create_release = _asked(ReleaseClient.create_release)
    rollback = _asked(ReleaseClient.rollback)
    apply_plan = _asked(ReleaseClient.apply_plan)
    repair = _asked(ReleaseClient.repair)
    check_drift = _asked(ReleaseClient.check_drift)
    pin = _asked(ReleaseClient.pin)
    mark = _asked(ReleaseClient.mark)
    prune = _asked(ReleaseClient.prune)
    diff = _asked(ReleaseClient.diff)
    verify = _asked(ReleaseClient.verify)
    status = _asked(ReleaseClient.status)
    stage = _asked(ReleaseClient.stage)
    publish = _asked(ReleaseClient.publish)
    discard = _asked(ReleaseClient.discard)
    set_mode = _asked(ReleaseClient.set_mode)
    import_bundle = _asked(ReleaseClient.import_bundle)

    release_all = _asked_of_many(ReleaseClient.release_all)
    run_schedule_now = _asked_of_many(ReleaseClient.run_schedule_now)

    handle = _asked(ReleaseClient.handle)
    retry = _asked(ReleaseClient.retry)
    cancel = _awaited(ReleaseClient.cancel)
    sweep = _awaited(ReleaseClient.sweep)
    editing = _awaited(ReleaseClient.editing)

    releases = _awaited(ReleaseClient.releases)
    release = _awaited(ReleaseClient.release)
    requests = _awaited(ReleaseClient.requests)
    request = _awaited(ReleaseClient.request)

    add_schedule = _awaited(ReleaseClient.add_schedule)
    schedules = _awaited(ReleaseClient.schedules)
    schedule = _awaited(ReleaseClient.schedule)
    pause_schedule = _awaited(ReleaseClient.pause_schedule)
    resume_schedule = _awaited(ReleaseClient.resume_schedule)
    remove_schedule = _awaited(ReleaseClient.remove_schedule)
    add_freeze = _awaited(ReleaseClient.add_freeze)
    freezes = _awaited(ReleaseClient.freezes)
    remove_freeze = _awaited(ReleaseClient.remove_freeze)

    subscribe = _awaited(ReleaseClient.subscribe)
    subscribe_task = _awaited(ReleaseClient.subscribe_task)
    subscriptions = _awaited(ReleaseClient.subscriptions)
    unsubscribe = _awaited(ReleaseClient.unsubscribe)
    pause_subscription = _awaited(ReleaseClient.pause_subscription)
    resume_subscription = _awaited(ReleaseClient.resume_subscription)
    redeliver = _awaited(ReleaseClient.redeliver)
    events = _awaited(ReleaseClient.events)

    add_organization = _awaited(ReleaseClient.add_organization)
    add_project = _awaited(ReleaseClient.add_project)
    add_toolset = _awaited(ReleaseClient.add_toolset)
    edit_organization = _awaited(ReleaseClient.edit_organization)
    edit_project = _awaited(ReleaseClient.edit_project)
    import_openapi = _awaited(ReleaseClient.import_openapi)
    edit_toolset = _awaited(ReleaseClient.edit_toolset)
    organizations = _awaited(ReleaseClient.organizations)
    projects = _awaited(ReleaseClient.projects)
    toolsets = _awaited(ReleaseClient.toolsets)
    show_organization = _awaited(ReleaseClient.show_organization)
    show_project = _awaited(ReleaseClient.show_project)
    show_toolset = _awaited(ReleaseClient.show_toolset)

    async def wait(
        self, handles: Iterable[AsyncRequestHandle[R]], timeout: float | None = None
    ) -> AsyncIterator[tuple[AsyncRequestHandle[R], R | ReleaseWorkerError]]:
        """Each handle with its request's result or error, as soon as that has ended; as `ReleaseClient.wait`."""
        by_id = {handle.id: handle for handle in handles}
        async for record in ends_of(self._client, list(by_id), timeout):
            yield by_id[record.id], ended_as(record)

    async def create_releases(
        self,
        releases: Iterable[str | Mapping[str, Any]],
        *,
        session: "CallersTransaction | None" = None,
        **options: Unpack[ReleaseOptions],
    ) -> "list[AsyncRequestHandle[CreateReleaseResult]]":
        if is_async_psycopg(session):
            handles = await self._client._submit_each_on(session, requests_for(releases, options))
        else:
            handles = await self._call(ReleaseClient.create_releases, (releases,), {**options, "session": session})
        return [self._to_await(handle) for handle in handles]

    update_wrapper(create_releases, ReleaseClient.create_releases)

    def _to_await(self, handle: RequestHandle[R]) -> AsyncRequestHandle[R]:
        return AsyncRequestHandle(handle, self._client._look)

    async def _ask(
        self, method: Callable[..., RequestHandle[R]], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> RequestHandle[R]:
        session = kwargs.get("session")
        if not is_async_psycopg(session):
            return await self._call(method, args, kwargs)
        draft = method(DraftingClient(), *args, **kwargs)
        assert isinstance(draft, Draft)
        return await self._client._submit_on(session, draft.request)

    async def _call(self, method: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        session = next((given for given in (*args, kwargs.get("session")) if hasattr(given, "run_sync")), None)
        if session is None:
            return await asyncio.to_thread(method, self._client, *args, **kwargs)

        def on(joined: Any) -> T:
            # A session could tell of its commit, but publishing would then block the event loop: workers hear of it.
            connection = joined.connection() if hasattr(session, "sync_session") else joined
            given = [connection if one is session else one for one in args]
            named = {name: connection if one is session else one for name, one in kwargs.items()}
            return method(self._client, *given, **named)

        done: T = await session.run_sync(on)
        return done
