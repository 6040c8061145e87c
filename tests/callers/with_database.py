"""A caller with the ledger: what `without_database` has, and what only a database gives.

Run by the Python of a caller's environment, with a toolset's path; prints what came of it as JSON.
"""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.errors import Frozen, IdempotencyConflict, ReleaseNotFound, RequestNotFound

LONG = 60.0
toolset = sys.argv[1]
organization = toolset.partition("/")[0]


def refused(kind: type[Exception], ask: Any) -> str:
    try:
        ask()
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


def asked_and_answered(client: ReleaseClient) -> dict[str, object]:
    first = client.create_release(toolset, actor="caller", idempotency_key="build-1")
    again = client.create_release(toolset, actor="caller", idempotency_key="build-1")
    released = first.result(timeout=LONG)

    def other() -> None:
        client.create_release(toolset, actor="somebody else", idempotency_key="build-1")

    def missing() -> None:
        client.rollback(toolset, 99, actor="caller").result(timeout=LONG)

    return {
        "release": [released.release_number, released.created, first.published],
        "same_key": again.id == first.id,
        "handle": client.handle(first.id).result(timeout=LONG) == released,
        "conflict": first.id in refused(IdempotencyConflict, other),
        "not_found": refused(ReleaseNotFound, missing),
        "unknown": refused(RequestNotFound, lambda: client.handle("nothing")),
    }


def in_a_session(client: ReleaseClient, url: str) -> dict[str, object]:
    """The toolset's name is the app's own edit; a request commits with it, or not at all."""
    rename = text("UPDATE toolsets SET name = :name WHERE id = :id")
    engine = create_engine(url)
    with Session(engine) as session:
        subject = client.editing(session, toolset)
        session.execute(rename, {"name": "Kept", "id": subject.toolset_id})
        kept = client.create_release(toolset, actor="caller", session=session)
        before = kept.published
        session.commit()
        released = kept.result(timeout=LONG)
    with Session(engine) as session:
        session.execute(rename, {"name": "Lost", "id": subject.toolset_id})
        lost = client.create_release(toolset, actor="caller", session=session)
        session.rollback()
    engine.dispose()
    return {
        "session": [before, kept.published, released.release_number],
        "rolled_back": refused(RequestNotFound, lambda: lost.result(timeout=LONG)) == f"there is no request {lost.id}",
    }


def of_an_organization(client: ReleaseClient) -> dict[str, object]:
    handles = client.release_all(organization=organization, actor="caller")
    ended = [str(result) for _, result in client.wait(handles.values(), timeout=LONG) if isinstance(result, Exception)]
    schedule = client.add_schedule("nightly", toolset=toolset, cron="0 3 * * *", actor="caller")
    freeze = client.add_freeze(
        organization=organization, ends_at=datetime.now(UTC) + timedelta(hours=1), reason="stocktaking", actor="caller"
    )
    frozen = refused(Frozen, lambda: client.repair(toolset, actor="caller").result(timeout=LONG))
    client.remove_freeze(freeze.id)
    return {
        "all": [list(handles), ended],
        "schedules": [one.name for one in client.schedules(organization=organization)],
        "fires": schedule.next_fire_at is not None,
        "frozen": "stocktaking" in frozen,
        "removed": client.remove_schedule("nightly", organization=organization).name,
    }


with ReleaseClient.from_env() as client:
    told = {
        **asked_and_answered(client),
        **in_a_session(client, os.environ["RELEASE_WORKER_DATABASE_URL"]),
        **of_an_organization(client),
    }
print(json.dumps(told))
