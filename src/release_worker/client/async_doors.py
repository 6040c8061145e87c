"""What only its caller may wait for: a statement on an asynchronous connection of psycopg, and the ends of requests."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from uuid_utils import uuid7

from release_worker.client.asking import Handle
from release_worker.client.pauses import Turns
from release_worker.tracing.choosing import tracing_of_caller

if TYPE_CHECKING:
    import psycopg

    from release_worker.client.release_client import ReleaseClient
    from release_worker.domain.request_record import RequestRecord
    from release_worker.domain.requests.request import Request


def is_async_psycopg(session: object) -> "TypeGuard[psycopg.AsyncConnection[Any]]":
    """Whether it is such a connection; psycopg is not imported for that."""
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(session, psycopg.AsyncConnection)


async def answers_on(
    connection: "psycopg.AsyncConnection[Any]", schema: str, statement: str, parameters: Mapping[str, Any]
) -> list[str]:
    """What a statement of ours answers there, in the connection's transaction. Raises InvalidRequest for one that
    cannot be joined."""
    from psycopg import AsyncCursor
    from psycopg.rows import scalar_row

    from release_worker.client.doors import for_driver, refuse_autocommit

    refuse_autocommit(connection)
    async with AsyncCursor(connection, row_factory=scalar_row) as cursor:
        await cursor.execute(for_driver(statement, schema), parameters)
        return await cursor.fetchall()


async def ask_on(connection: "psycopg.AsyncConnection[Any]", client: "ReleaseClient", request: "Request") -> Handle:
    """Make the request in the connection's transaction. Raises InvalidRequest for one that cannot be joined."""
    from release_worker.store.accepting import ACCEPT, accepted, asking

    request_id = str(uuid7())
    tracing = tracing_of_caller()
    with tracing.span(f"ask {request.kind}", role="producer", request_id=request_id, kind=request.kind):
        parameters = asking(request, request_id=request_id, announced=True, traceparent=tracing.traceparent())
        [answer] = await answers_on(connection, client._schema, ACCEPT, parameters)
    return client._handle_of(accepted(answer, request, request_id))


async def ask_each_on(
    connection: "psycopg.AsyncConnection[Any]", client: "ReleaseClient", requests: "Sequence[Request]"
) -> list[Handle]:
    """Make these requests in the connection's transaction."""
    from release_worker.store.accepting import ACCEPT_EACH, accepted_each, asking_each

    if not requests:
        return []
    asked = {str(uuid7()): request for request in requests}
    tracing = tracing_of_caller()
    with tracing.span("ask create_release", role="producer", kind="create_release", count=len(asked)):
        parameters = asking_each(asked, announced=True, traceparent=tracing.traceparent())
        answers = await answers_on(connection, client._schema, ACCEPT_EACH, parameters)
    return [client._handle_of(one) for one in accepted_each(answers, asked)]


async def ends_of(
    client: "ReleaseClient", request_ids: Sequence[str], timeout: float | None
) -> "AsyncIterator[RequestRecord]":
    """Each of these requests as soon as it has ended; as `in_the_order_of_their_ends`, without keeping a thread."""
    turns = Turns(request_ids, timeout)
    while turns.waiting:
        ended = await asyncio.to_thread(client._ended_of, turns.waiting)
        for record in ended:
            yield record
        await asyncio.sleep(turns.pause_after([record.id for record in ended]))
