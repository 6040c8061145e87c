"""What only its caller may wait for: a statement on an asynchronous connection of psycopg, and the ends of requests."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, TypeGuard

from uuid_utils import uuid7

from release_worker.client.asking import Handle
from release_worker.client.async_handle import FIRST_PAUSE, LONGEST_PAUSE
from release_worker.client.release_client import ReleaseClient
from release_worker.tracing.choosing import tracing_of_caller

if TYPE_CHECKING:
    import psycopg

    from release_worker.domain.request_record import RequestRecord
    from release_worker.domain.requests.request import Request


def is_async_psycopg(session: object) -> "TypeGuard[psycopg.AsyncConnection[Any]]":
    """Whether it is such a connection; psycopg is not imported for that."""
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(session, psycopg.AsyncConnection)


async def ask_on(connection: "psycopg.AsyncConnection[Any]", client: ReleaseClient, request: "Request") -> Handle:
    """Make the request in the connection's transaction. Raises InvalidRequest for one that cannot be joined."""
    from psycopg import AsyncCursor
    from psycopg.rows import scalar_row

    from release_worker.client.doors import for_driver, refuse_autocommit
    from release_worker.store.accepting import ACCEPT, accepted, asking

    refuse_autocommit(connection)
    request_id = str(uuid7())
    tracing = tracing_of_caller()
    with tracing.span(f"ask {request.kind}", role="producer", request_id=request_id, kind=request.kind):
        parameters = asking(request, request_id=request_id, announced=True, traceparent=tracing.traceparent())
        async with AsyncCursor(connection, row_factory=scalar_row) as cursor:
            await cursor.execute(for_driver(ACCEPT, client.schema), parameters)
            [answer] = await cursor.fetchall()
    return client.handle_of(accepted(answer, request, request_id))


async def ends_of(
    client: ReleaseClient, request_ids: Sequence[str], timeout: float | None
) -> "AsyncIterator[RequestRecord]":
    """Each of these requests as soon as it has ended; as `in_the_order_of_their_ends`, without keeping a thread."""
    from release_worker.client.writing_down import none_ends

    waiting = dict.fromkeys(request_ids)
    since, pause = time.monotonic(), FIRST_PAUSE
    while waiting:
        ended = await asyncio.to_thread(client.ended_of, list(waiting))
        for record in ended:
            del waiting[record.id]
            yield record
        if ended:
            since, pause = time.monotonic(), FIRST_PAUSE
            continue
        if timeout is not None and time.monotonic() >= since + timeout:
            raise none_ends(list(waiting), len(request_ids), timeout)
        await asyncio.sleep(pause)
        pause = min(pause * 1.3, LONGEST_PAUSE)
