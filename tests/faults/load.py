"""The mix of requests and edits, as several apps would make them."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from uuid import uuid4

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine, create_engine, exc, text
from sqlalchemy.orm import Session

from release_worker import ReleaseClient
from release_worker.embedded import EmbeddedServers
from release_worker.errors import BrokerUnavailable, TransientError
from tests.faults.estate import Place, apply_edit
from tests.faults.journal import Fate, Journal, Submission
from tests.faults.plan import COMPONENTS, Ask, Edit

ACTOR = "faults"
APP_NAME = "faults app"  # of connections that strikes may kill; the harness's own have another
TRIES = 60  # for a caller that has an idempotency key, half a second apart
BROKER_ERRORS = (OperationalError, RedisError, OSError)


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
        except exc.DBAPIError:
            self._journal.count("edits refused")
        else:
            self._journal.count("edits")

    def ask(self, ask: Ask) -> None:
        """One request through its channel, noted in the journal."""
        submit: Callable[[Ask], tuple[str | None, Fate]] = {
            "client": self._through_client,
            "plain": self._through_send_task,
            "session": self._in_transaction,
        }[ask.channel]
        called = time.monotonic()
        try:
            request_id, fate = submit(ask)
        except Exception:  # noqa: BLE001  the client promises errors of its own
            self._journal.surprises.append(f"a {ask.channel} caller was told {traceback.format_exc()}")
            request_id, fate = None, "unknown"
        place = self._places[ask.toolset]
        self._journal.note(Submission(place.id, request_id, fate, called, time.monotonic()))

    def _through_client(self, ask: Ask) -> tuple[str | None, Fate]:
        arguments = self._arguments(ask)
        for _ in range(TRIES if ask.keyed else 1):
            try:
                return self._submit(arguments), "accepted"
            except BrokerUnavailable as error:
                if error.details.get("request_id"):
                    return error.details["request_id"], "accepted"
            except TransientError:
                pass
            time.sleep(0.5 if ask.keyed else 0.0)
        return None, "unknown"

    def _through_send_task(self, ask: Ask) -> tuple[str | None, Fate]:
        arguments = self._arguments(ask)
        request_id = str(uuid4())
        try:
            send_plain(self._plain, kind_of(arguments), arguments, request_id)
        except Exception as error:  # noqa: BLE001  Celery's own client promises nothing
            self._journal.count(f"plain callers told {type(error).__name__}")
            return request_id, "unknown"
        return request_id, "sent"

    def _in_transaction(self, ask: Ask) -> tuple[str | None, Fate]:
        """An edit and a request that commit together, or neither."""
        arguments = self._arguments(ask)
        place = self._places[ask.toolset]
        components = COMPONENTS if place.whole else ("settings",)
        edit = Edit(ask.at, ask.toolset, 1_000_000 + ask.index, components)
        request_id: str | None = None
        try:
            with Session(self._engine) as session:
                apply_edit(session.connection(), place, edit)
                request_id = self._submit(arguments, session)
                if ask.undone:
                    session.rollback()
                    return request_id, "undone"
                session.commit()
        except (exc.SQLAlchemyError, TransientError):
            return request_id, "unknown"
        return request_id, "accepted"

    def _submit(self, arguments: dict[str, object], session: Session | None = None) -> str:
        given = {**arguments, "session": session}
        submit = self._client.rollback if "release_number" in arguments else self._client.create_release
        return submit(**given).id  # type: ignore[arg-type]

    def _arguments(self, ask: Ask) -> dict[str, object]:
        place = self._places[ask.toolset]
        arguments: dict[str, object] = {
            "toolset": place.path,
            "actor": ACTOR,
            "expected_current_release": 999_999 if ask.expects_wrongly else None,
            "idempotency_key": f"ask-{ask.index}" if ask.keyed else None,
        }
        if ask.target is None:
            return {**arguments, "notes": f"ask {ask.index}", "only_if_changed": ask.only_if_changed}
        return {
            **arguments,
            "release_number": 1 + int(ask.target * max(0, newest_release(self._engine, place) - 1)),
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


def send_plain(app: Celery, kind: str, arguments: dict[str, object], request_id: str) -> None:
    """A message without a row."""
    queue = "releases" if kind == "create_release" else "rollbacks"
    given = {name: value for name, value in arguments.items() if value is not None}
    app.send_task(f"release_worker.{kind}", kwargs=given, task_id=request_id, queue=queue, ignore_result=True)


def kind_of(arguments: dict[str, object]) -> str:
    return "rollback" if "release_number" in arguments else "create_release"


def newest_release(engine: Engine, place: Place) -> int:
    """The newest release's number, once the database answers: it may be restarting."""
    query = text("SELECT coalesce(max(release_number), 0) FROM toolset_releases WHERE toolset_id = :id")
    deadline = time.monotonic() + 30
    while True:
        with suppress(exc.DBAPIError), engine.connect() as connection:
            return int(connection.execute(query, {"id": place.id}).scalar_one())
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
