"""Whatever a message, a result or an address holds: one valid row, one clear error, nothing imported, nothing said."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from release_worker import ReleaseClient
from release_worker.domain.requests.kinds import KINDS
from release_worker.errors import (
    BrokerUnavailable,
    DatabaseUnavailable,
    IdempotencyConflict,
    InvalidRequest,
    ReleaseWorkerError,
    ToolsetNotFound,
    from_record,
)
from release_worker.store.engine import ledger_transaction, make_engine
from release_worker.worker.inbox import Inbox, Message
from release_worker.worker.lock import RedisToolsetLock, toolset_lock_client
from tests.support.billing import a_full_toolset
from tests.support.kinds import VALID
from tests.support.ledger import mailbox, record
from tests.support.servers import Servers
from tests.support.strategies import examples_in_one_database
from tests.support.workers import Service, service
from tests.support.world import Toolset

SECRET = "hunter2"
KIND = st.sampled_from(sorted(KINDS))
FIELDS = sorted({name for request in KINDS.values() for name in request.model_fields})

# What a JSON decoder can make of a body: lone surrogates, NUL, numbers without end, any nesting.
TEXT = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(["\x00", "\ud800", "x" * 20_000, "\u202e"])
NUMBERS = st.integers() | st.integers(-(10**300), 10**300) | st.floats(allow_nan=True, allow_infinity=True)
HOSTILE = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from([*FIELDS, "task", "self", "kwargs", "__class__", "%(x)s"]) | TEXT


@pytest.fixture
def billing(engine: Engine) -> Toolset:
    return a_full_toolset(engine)


def accepted(engine: Engine, kind: str, message: Message) -> None:
    """Let it in or refuse it; either is one row that people and programs can read, which names the error."""
    error: ReleaseWorkerError | None = None
    try:
        Inbox(engine).accept(kind, message)
    except (InvalidRequest, IdempotencyConflict) as refused:
        error = refused
    row = record(engine, message.id)
    if error is None and row.toolset_id is None:
        error = ToolsetNotFound(toolset=row.payload["toolset"])
    assert row.status == ("queued" if error is None else "failed")
    assert row.error == (error and error.as_record())
    assert type(from_record(row.error)) is type(error) if row.error else error is None
    if row.status == "queued":
        json.dumps(row.arguments, allow_nan=False).encode()
    assert row.requested_by
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM release_requests"))


@examples_in_one_database(150)
@given(
    kind=KIND,
    positional=st.lists(HOSTILE, max_size=4),
    keywords=st.dictionaries(NAMES, HOSTILE, max_size=5),
    in_ledger=st.just(False),
)
@example("create_release", ["a/b/c", "x"], {"labels": {"\x00": 1}}, False)
@example("create_release", ["a/b/c", "x"], {"labels": {"a": 10**4000}}, False)
@example("create_release", ["a/b/c", "x"], {"idempotency_key": "\ud800"}, False)
@example("rollback", ["a/b/c", 1, "x"], {"actor\x00": "\x00"}, False)
def test_any_arguments_make_a_request_or_a_refusal(
    engine: Engine, kind: str, positional: list[Any], keywords: dict[str, Any], in_ledger: bool
) -> None:
    accepted(engine, kind, Message(str(uuid4()), positional, keywords, in_ledger))


@examples_in_one_database(150)
@given(kind=KIND, data=st.data())
def test_any_value_in_one_field_of_a_good_request_makes_a_request_or_a_refusal(
    engine: Engine, kind: str, data: st.DataObject
) -> None:
    good = {"toolset": "acme/payments/billing", "actor": "x", **VALID[kind]}
    field = data.draw(st.sampled_from(sorted(KINDS[kind].model_fields)))
    accepted(engine, kind, Message(str(uuid4()), [], {**good, field: data.draw(HOSTILE)}, in_ledger=False))


@pytest.mark.parametrize("kind", VALID)
def test_a_request_that_is_published_again_stands_for_its_row(engine: Engine, billing: Toolset, kind: str) -> None:
    inbox = Inbox(engine)
    arguments = {"toolset": billing.path, "actor": "x", **VALID[kind]}
    row = inbox.accept(kind, Message("first", [], arguments, in_ledger=False))
    again = json.loads(json.dumps(row.arguments))
    assert inbox.accept(kind, Message("first", [], again, in_ledger=True)) == row


@pytest.mark.parametrize(
    "stored",
    [
        {"exc_type": "system", "exc_message": ["touch {file}"], "exc_module": "os"},
        {"exc_type": "exec", "exc_message": ["open({file!r}, 'w')"], "exc_module": "builtins"},
        {"exc_type": "Popen", "exc_message": [["touch", "{file}"]], "exc_module": "subprocess"},
        {"exc_type": "fly", "exc_message": [], "exc_module": "antigravity"},
    ],
    ids=lambda stored: f"{stored['exc_module']}.{stored['exc_type']}",
)
def test_a_result_that_somebody_else_wrote_calls_nothing_and_imports_nothing(
    served: Service, tmp_path: Path, stored: dict[str, Any]
) -> None:
    file = tmp_path / "made by a result"
    result = json.loads(json.dumps(stored).replace("{file!r}", f"'{file}'").replace("{file}", str(file)))
    with served.client(database=False) as client, served.redis() as redis:
        handle = client.create_release("a/b/c", actor="x")
        meta = {"status": "FAILURE", "result": result, "traceback": None, "children": [], "task_id": handle.id}
        redis.set(f"celery-task-meta-{handle.id}", json.dumps(meta))
        with pytest.raises(Exception, match=r".*"):
            handle.result(timeout=10)
    assert not file.exists()
    assert "antigravity" not in sys.modules


@pytest.fixture
def served(servers: Servers) -> Iterator[Service]:
    with service(servers, broker_database=6) as made:
        yield made


def test_an_error_record_names_a_class_of_ours_or_none(tmp_path: Path) -> None:
    for name in ("os.system", "system", "Exception", "object", "", "__import__", "ReleaseWorkerError.__subclasses__"):
        made = from_record({"type": name, "message": str(tmp_path), "details": {"a": 1}})
        assert type(made) is ReleaseWorkerError


def test_a_server_that_cannot_be_reached_is_named_without_its_password(
    engine: Engine, billing: Toolset, caplog: pytest.LogCaptureFixture
) -> None:
    shown: list[str] = []

    def note(error: BaseException) -> None:
        while error is not None:
            shown.append(f"{error!r} {error}")
            error = error.__cause__ or error.__context__  # type: ignore[assignment]

    with caplog.at_level(logging.DEBUG), capture_logs() as events:
        broker = f"redis://user:{SECRET}@127.0.0.1:1/0"
        client = ReleaseClient(broker_url=broker, database_url=engine.url.render_as_string(hide_password=False))
        with client, pytest.raises(BrokerUnavailable) as down:
            client.create_release(billing.path, actor="x")
        note(down.value)
        unreachable = make_engine(f"postgresql+psycopg://user:{SECRET}@127.0.0.1:1/x?connect_timeout=1")
        with pytest.raises(DatabaseUnavailable) as gone, ledger_transaction(unreachable):
            pass
        note(gone.value)
        with toolset_lock_client(broker) as redis:
            with RedisToolsetLock(redis, billing.id, owner="x", ttl=1, wait=0):
                pass
            shown.append(repr(redis))
    assert len(shown) > 3
    assert [line for line in [*shown, caplog.text, str(events)] if SECRET in line] == []


def test_what_is_said_of_a_statement_that_broke_holds_none_of_its_values(engine: Engine, billing: Toolset) -> None:
    """Errors are stored and logged, and PostgreSQL quotes the row that it refuses."""
    inbox = Inbox(engine)
    arguments = {"toolset": billing.path, "actor": "x", "notes": SECRET}
    asked = inbox.accept("create_release", Message("x", [], arguments, in_ledger=False))
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE toolset_releases ADD CONSTRAINT refused CHECK (kind <> 'release')"))
    with capture_logs() as events, suppress(ReleaseWorkerError):
        mailbox(engine).work_until_done(asked.id)
    failed = record(engine, asked.id)
    assert failed.status == "failed"
    assert "refused" in str(failed.error)
    assert SECRET not in f"{failed.error} {events}"


def test_an_error_of_the_database_shows_no_parameters(engine: Engine) -> None:
    with pytest.raises(DBAPIError) as failed, engine.connect() as connection:
        connection.execute(text("SELECT 1 / length(:secret) / 0"), {"secret": SECRET})
    assert SECRET not in f"{failed.value} {failed.value!r}"
