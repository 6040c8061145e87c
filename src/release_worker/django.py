"""For Django: a client whose requests are part of `transaction.atomic`, and are published by `on_commit`.

    from release_worker.django import DjangoReleaseClient

    client = DjangoReleaseClient.from_settings()

    with transaction.atomic():
        tool.save()
        client.create_release("acme/payments/billing", actor=request.user.username)

`settings.RELEASE_WORKER` holds the arguments of the client by their names in capitals: `BROKER_URL`, `RESULT_BACKEND`,
`DATABASE_URL`, `PREPARED_STATEMENTS`, `SCHEMA`, `SECRET_KEYS`; and `SENTINEL_MASTER` and `SENTINEL_PASSWORD`, which are
its `sentinel`. The database is by default that of `settings.DATABASES`.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, Unpack

from django.conf import settings
from django.db import connections, transaction
from psycopg.pq import Conninfo
from sqlalchemy import URL

from release_worker.client.asking import Handle
from release_worker.client.bulk_requests import ReleaseOptions
from release_worker.client.doors import Door, OpenTransaction, for_driver, refused, say_that_it_must_commit
from release_worker.client.release_client import ReleaseClient
from release_worker.client.request_handle import RequestHandle
from release_worker.domain.server_urls import Sentinel
from release_worker.errors import NotConfigured

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from sqlalchemy import Engine

    from release_worker.client.transactions import CallersTransaction
    from release_worker.domain.requests.create_release import CreateReleaseResult

_LIBPQ = {option.keyword.decode() for option in Conninfo.get_defaults()}
_ARGUMENTS = ("broker_url", "result_backend", "database_url", "prepared_statements", "schema", "secret_keys")
_OF_SENTINEL = ("sentinel_master", "sentinel_password")


class DjangoReleaseClient(ReleaseClient):
    """A client that asks on Django's own connection, in the transaction that is open there, if any.

    Without `atomic`, Django commits each statement, and a request is published at once. With `set_autocommit(False)`
    nobody says when it has committed, and workers hear of it. `release_all`, what is done without a worker, and the
    wait for a result use connections of the client's own, outside of that transaction.
    """

    using: str = "default"
    _taken_over: str | None = None  # the URL that Django's settings meant when they were last looked at

    @classmethod
    def from_settings(cls, *, using: str = "default") -> Self:
        """A client for the addresses in `settings.RELEASE_WORKER`, on the database of this alias. Raises
        NotConfigured."""
        given: Mapping[str, Any] = getattr(settings, "RELEASE_WORKER", {})
        unknown = given.keys() - {name.upper() for name in (*_ARGUMENTS, *_OF_SENTINEL)}
        if unknown:
            raise NotConfigured(
                f"RELEASE_WORKER has unknown settings: {', '.join(sorted(unknown))}", setting="RELEASE_WORKER"
            )
        if not given.get("BROKER_URL"):
            raise NotConfigured("RELEASE_WORKER['BROKER_URL'] is not set", setting="RELEASE_WORKER")
        arguments = {name: given[name.upper()] for name in _ARGUMENTS if name.upper() in given}
        taken_over = _url_of(settings.DATABASES[using])
        client = cls(**{"database_url": taken_over, "sentinel": _sentinel_of(given), **arguments})
        client.using = using
        client._taken_over = None if "database_url" in arguments else taken_over
        return client

    def _engine(self) -> "Engine":
        """Test runners give Django another database after a client was made."""
        if self._taken_over is not None:
            url = _url_of(connections[self.using].settings_dict)
            if url != self._taken_over:
                self._taken_over = url
                self._use_database(url)
        return super()._engine()

    def _submit(self, kind: str, fields: Mapping[str, Any], session: "CallersTransaction | None") -> Handle:
        return super()._submit(kind, fields, self._own_door() if session is None else session)

    def create_releases(
        self,
        releases: Iterable[str | Mapping[str, Any]],
        *,
        session: "CallersTransaction | None" = None,
        **options: Unpack[ReleaseOptions],
    ) -> "list[RequestHandle[CreateReleaseResult]]":
        """As that of `ReleaseClient`, in the transaction that is open: all requests are part of it, or none."""
        if session is not None:
            return super().create_releases(releases, session=session, **options)
        with transaction.atomic(using=self.using):
            return super().create_releases(releases, session=self._own_door(), **options)

    def _own_door(self) -> "DjangoDoor":
        return DjangoDoor(connections[self.using], self._schema)


class DjangoDoor(Door):
    """One of Django's connections, in the transaction that is open there."""

    def __init__(self, connection: "BaseDatabaseWrapper", schema: str) -> None:
        """Raises InvalidRequest for a database that is not PostgreSQL."""
        if connection.vendor != "postgresql":
            raise refused(f"the database {connection.alias!r} must be PostgreSQL, not {connection.vendor}")
        self._connection = connection
        self._schema = schema
        # Django calls nobody after a commit that it does not make itself.
        self.announced = not connection.in_atomic_block and not connection.get_autocommit()

    def answers(self, statement: str, parameters: Mapping[str, Any]) -> list[str]:
        with self._connection.cursor() as cursor:
            cursor.execute(for_driver(statement, self._schema).decode(), dict(parameters))
            return [row[0] for row in cursor.fetchall()]

    def transaction(self) -> OpenTransaction:
        return _Atomic(self._connection)

    def after_commit(self, publish: Callable[[], None]) -> None:
        """If the broker is away, the commit stands, and the sweeper publishes the request."""
        transaction.on_commit(publish, using=self._connection.alias, robust=True)


class _Atomic:
    """The `atomic` block that a connection is in."""

    def __init__(self, connection: "BaseDatabaseWrapper") -> None:
        self._connection = connection
        self._inside = connection.in_atomic_block
        self._thread = threading.get_ident()

    def is_open(self) -> bool:
        return self._inside and self._connection.in_atomic_block

    def refuse_to_wait_for_it(self) -> None:
        if self._thread == threading.get_ident():
            say_that_it_must_commit()


def _sentinel_of(given: Mapping[str, Any]) -> Sentinel | None:
    """How `sentinel://` addresses are to be read."""
    master = given.get("SENTINEL_MASTER")
    return None if master is None else Sentinel(master, given.get("SENTINEL_PASSWORD"))


def _url_of(database: Mapping[str, Any]) -> str | None:
    """The URL of one of Django's databases; None for one that is not PostgreSQL."""
    if not str(database.get("ENGINE", "")).endswith(("postgresql", "postgis", "postgresql_psycopg2")):
        return None
    host, port = database.get("HOST") or None, database.get("PORT") or None
    # Of its options, those are Django's own that libpq does not know.
    options = {name: str(value) for name, value in database.get("OPTIONS", {}).items() if name in _LIBPQ}
    query = {**options, "host": str(host)} if host and str(host).startswith("/") else options
    url = URL.create(
        "postgresql+psycopg",
        username=database.get("USER") or None,
        password=database.get("PASSWORD") or None,
        host=None if query else host,
        port=int(port) if port else None,
        database=database.get("NAME"),
        query=query,
    )
    return url.render_as_string(hide_password=False)
