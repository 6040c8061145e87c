"""The mix of requests and edits, as several apps would make them."""

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from celery import Celery
from kombu.exceptions import OperationalError
from psycopg.errors import DeadlockDetected
from redis.exceptions import RedisError
from sqlalchemy import Engine, TextClause, create_engine, exc, text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient, RequestHandle
from release_worker.domain.requests import kinds
from release_worker.embedded import EmbeddedServers
from release_worker.errors import BrokerUnavailable, ReleaseWorkerError, RequestNotQueued, TransientError
from tests.faults.estate import Place, apply_edit
from tests.faults.journal import Fate, Journal, Submission
from tests.faults.plan import COMPONENTS, Action, Ask, Edit

ACTOR = "faults"
APP_NAME = "faults app"  # of connections that strikes may kill; the harness's own have another
PLAN_SECONDS = 5.0  # that somebody waits for a plan which is to be applied
TRIES = 60  # for a caller that has an idempotency key, half a second apart
BROKER_ERRORS = (OperationalError, RedisError, OSError)
KINDS: dict[Action, str] = {
    "release": "create_release",
    "rollback": "rollback",
    "repair": "repair",
    "apply plan": "apply_plan",
    "dry run": "rollback",
    "check drift": "check_drift",
    "pin": "pin",
    "unpin": "pin",
    "mark": "mark",
    "prune": "prune",
    "cancel": "create_release",
    "stage": "stage",
    "publish": "publish",
    "discard": "discard",
}


class _NoPlan(Exception):
    """There is none that could be applied."""


class Load:
    """Carries out asks and edits; safe for several threads."""

    def __init__(self, servers: EmbeddedServers, database_url: str, places: Sequence[Place], journal: Journal) -> None:
        self._places = places
        self._journal = journal
        self._client = ReleaseClient(broker_url=servers.broker_url, database_url=database_url)
        self._engine = create_engine(
            database_url, pool_size=8, pool_pre_ping=True, connect_args={"application_name": APP_NAME}
        )
        self._plain = plain_app(servers.broker_url)

    def close(self) -> None:
        self._client.close()
        self._plain.close()
        self._engine.dispose()

    def edit(self, edit: Edit) -> None:
        """One app's transaction; an app that fails has changed nothing, or all of it."""
        try:
            with self._engine.begin() as connection:
                apply_edit(connection, self._places[edit.toolset], edit)
        except exc.DBAPIError as error:
            self._journal.count("edits refused")
            if edit.held and isinstance(error.orig, DeadlockDetected):
                self._journal.surprises.append(f"the app of edit {edit.epoch} was a deadlock's victim: {error.orig}")
        else:
            self._journal.count("edits")

    def ask(self, ask: Ask) -> None:
        """One request through its channel, noted in the journal."""
        try:
            arguments = self._arguments(ask)
        except _NoPlan:
            self._journal.count("plans that were not there to be applied")
            return
        request_id = self._submitted(ask, arguments)
        if ask.action == "cancel":
            self._cancel(self._waiting() or request_id)

    def _submitted(self, ask: Ask, arguments: Mapping[str, object]) -> str | None:
        submit: Callable[[Ask, Mapping[str, object]], tuple[str | None, Fate]] = {
            "client": self._through_client,
            "plain": self._through_send_task,
            "session": self._in_transaction,
        }[ask.channel]
        called = time.monotonic()
        try:
            request_id, fate = submit(ask, arguments)
        except Exception:  # noqa: BLE001  the client promises errors of its own
            self._journal.surprises.append(f"a {ask.channel} caller was told {traceback.format_exc()}")
            request_id, fate = None, "unknown"
        place = self._places[ask.toolset]
        self._journal.note(Submission(place.id, request_id, fate, called, time.monotonic()))
        return request_id

    def _through_client(self, ask: Ask, arguments: Mapping[str, object]) -> tuple[str | None, Fate]:
        for _ in range(TRIES if ask.keyed else 1):
            try:
                return self._submit(ask, arguments), "accepted"
            except BrokerUnavailable as error:
                if error.details.get("request_id"):
                    return error.details["request_id"], "accepted"
            except TransientError:
                pass
            time.sleep(0.5 if ask.keyed else 0.0)
        return None, "unknown"

    def _through_send_task(self, ask: Ask, arguments: Mapping[str, object]) -> tuple[str | None, Fate]:
        request_id = str(uuid4())
        try:
            send_plain(self._plain, KINDS[ask.action], arguments, request_id)
        except Exception as error:  # noqa: BLE001  Celery's own client promises nothing
            self._journal.count(f"plain callers told {type(error).__name__}")
            return request_id, "unknown"
        return request_id, "sent"

    def _in_transaction(self, ask: Ask, arguments: Mapping[str, object]) -> tuple[str | None, Fate]:
        """An edit and a request that commit together, or neither."""
        place = self._places[ask.toolset]
        components = COMPONENTS if place.whole else ("settings",)
        edit = Edit(ask.at, ask.toolset, 1_000_000 + ask.index, components, ask.held)
        request_id: str | None = None
        try:
            with Session(self._engine) as session:
                apply_edit(session.connection(), place, edit)
                request_id = self._submit(ask, arguments, session)
                if ask.undone:
                    session.rollback()
                    return request_id, "undone"
                session.commit()
        except (exc.SQLAlchemyError, TransientError):
            return request_id, "unknown"
        return request_id, "accepted"

    def _submit(self, ask: Ask, arguments: Mapping[str, object], session: Session | None = None) -> str:
        submit: Callable[..., RequestHandle[Any]] = getattr(self._client, KINDS[ask.action])
        joined = {} if session is None else {"session": session}
        return submit(**arguments, **joined).id

    def _cancel(self, request_id: str | None) -> None:
        """By the time that this arrives, a worker may have begun it."""
        if request_id is None:
            return
        try:
            self._client.cancel(request_id, actor=ACTOR)
        except RequestNotQueued:
            self._journal.note_cancel(request_id, "refused")
        except ReleaseWorkerError as error:
            self._journal.note_cancel(request_id, "unknown")
            self._journal.count(f"cancellers told {type(error).__name__}")
        else:
            self._journal.note_cancel(request_id, "done")

    def _waiting(self) -> str | None:
        """The last request that is queued."""
        query = text("SELECT id FROM release_requests WHERE status = 'queued' ORDER BY seq DESC LIMIT 1")
        return next(iter(_column(self._engine, query)), None)

    def _arguments(self, ask: Ask) -> dict[str, object]:
        common: dict[str, object] = {"toolset": self._places[ask.toolset].path, "actor": ACTOR}
        keyed = {**common, "idempotency_key": f"ask-{ask.index}" if ask.keyed else None}
        expecting = {**keyed, "expected_current_release": 999_999 if ask.expects_wrongly else None}
        match ask.action:
            case "release" | "cancel":
                return {**expecting, "notes": f"ask {ask.index}", "only_if_changed": ask.only_if_changed}
            case "rollback":
                return {**expecting, **self._target(ask), **_scope(ask), "allow_bad": ask.allow_bad}
            case "repair":
                return {**keyed, **_scope(ask)}
            case "apply plan":
                return {**keyed, "plan_id": self._plan(ask)}
            case "dry run":
                return self._dry_run(ask)
            case "pin" | "unpin":
                return {**common, "release_number": self._named(ask), "pinned": ask.action == "pin"}
            case "mark":
                said = {"mark": "good" if ask.good else "bad", "reason": f"ask {ask.index}"}
                return {**common, "release_number": self._named(ask), **said}
            case "prune":
                return {**common, "keep": ask.keep}
            case "check drift" | "stage" | "publish" | "discard":
                return common

    def _target(self, ask: Ask) -> dict[str, object]:
        return {"to": ask.word} if ask.word else {"release_number": self._named(ask)}

    def _dry_run(self, ask: Ask) -> dict[str, object]:
        common: dict[str, object] = {"toolset": self._places[ask.toolset].path, "actor": ACTOR, "dry_run": True}
        return {**common, **self._target(ask), **_scope(ask), "on_missing": "fail", "allow_bad": ask.allow_bad}

    def _plan(self, ask: Ask) -> str:
        """The id of one of the last plans of the toolset, or of a fresh one. Raises _NoPlan."""
        place = self._places[ask.toolset]
        query = text("""
            SELECT id FROM release_requests
            WHERE toolset_id = :id AND kind = 'rollback' AND payload -> 'dry_run' = 'true' AND status = 'succeeded'
            ORDER BY seq DESC LIMIT 4
        """)
        plans = [] if ask.fresh else _column(self._engine, query, id=place.id)
        if plans:
            return str(plans[int(ask.target * len(plans))])
        called = time.monotonic()
        try:
            submit: Callable[..., RequestHandle[Any]] = self._client.rollback
            handle = submit(**self._dry_run(ask))
            self._journal.note_accepted(place.id, handle.id, called)
            handle.result(timeout=PLAN_SECONDS)
        except ReleaseWorkerError as error:
            raise _NoPlan from error
        return handle.id

    def _named(self, ask: Ask) -> int:
        numbers = release_numbers(self._engine, self._places[ask.toolset])
        return numbers[int(ask.target * len(numbers))]


def _scope(ask: Ask) -> dict[str, object]:
    """What a rollback and a repair have in common."""
    return {
        "reason": f"ask {ask.index}",
        "components": ask.components,
        "on_missing": ask.on_missing,
        "allow_shared_impact": ask.allow_shared_impact,
    }


def plain_app(broker_url: str) -> Celery:
    """The Celery app of someone who imports nothing of ours."""
    app = Celery("someone", broker=broker_url, set_as_current=False)
    app.conf.update(task_publish_retry_policy={"max_retries": 3, "interval_start": 0.2, "interval_max": 1.0})
    return app


def send_plain(app: Celery, kind: str, arguments: Mapping[str, object], request_id: str) -> None:
    """A message without a row."""
    given = {name: value for name, value in arguments.items() if value is not None}
    queue = kinds.KINDS[kind].queue
    app.send_task(f"release_worker.{kind}", kwargs=given, task_id=request_id, queue=queue, ignore_result=True)


def release_numbers(engine: Engine, place: Place) -> list[int]:
    """Of the releases that there are."""
    query = text("SELECT release_number FROM toolset_releases WHERE toolset_id = :id ORDER BY release_number")
    return _column(engine, query, id=place.id)


def _column(engine: Engine, query: TextClause, **parameters: object) -> list[Any]:
    """What is asked, once the database answers: it may be restarting."""
    deadline = time.monotonic() + 30
    while True:
        with suppress(exc.DBAPIError), engine.connect() as connection:
            return list(connection.execute(query, parameters).scalars())
        assert time.monotonic() < deadline, "PostgreSQL did not come back"
        time.sleep(0.1)


class Watch:
    """Notes when each request was first seen succeeded."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        query = text(
            "SELECT id FROM release_requests WHERE status = 'succeeded' AND finished_at > now() - interval '60 s'"
        )
        while not self._stopping.wait(0.1):
            with suppress(exc.DBAPIError):
                with self._engine.connect() as connection:
                    ids = list(connection.execute(query).scalars())
                now = time.monotonic()
                for request_id in ids:
                    self._journal.seen_succeeded.setdefault(request_id, now)
