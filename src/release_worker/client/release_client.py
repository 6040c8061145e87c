"""Asks a release worker, through its broker."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from release_worker.broker.publishing import message_of, publisher_again
from release_worker.broker.reaching import reach_as
from release_worker.client.asking import Handle
from release_worker.client.bulk_requests import BulkRequests
from release_worker.client.bundle_requests import BundleRequests
from release_worker.client.event_requests import EventRequests
from release_worker.client.freezing import Freezing
from release_worker.client.reading_requests import ReadingRequests
from release_worker.client.reads import Reads
from release_worker.client.release_requests import ReleaseRequests
from release_worker.client.scheduling import Scheduling
from release_worker.client.staging_requests import StagingRequests
from release_worker.client.toolsets import Toolsets
from release_worker.domain.limits import DEFAULTS
from release_worker.errors import BrokerUnavailable

if TYPE_CHECKING:
    import psycopg

    from release_worker.client.transactions import SqlAlchemyTransaction
    from release_worker.domain.requests.request import Request
    from release_worker.domain.subject import Scope, Subject
    from release_worker.operations.sweep import Swept


class ReleaseClient(
    ReleaseRequests,
    ReadingRequests,
    Reads,
    BulkRequests,
    StagingRequests,
    BundleRequests,
    Freezing,
    Scheduling,
    EventRequests,
    Toolsets,
):
    """Asks a release worker, through its broker. Thread-safe; opens connections when they are first needed, and new
    ones in a process that was forked meanwhile."""

    async def _submit_on(self, connection: "psycopg.AsyncConnection[Any]", request: "Request") -> Handle:
        """Make the request in the transaction of a connection that only a coroutine can use."""
        from release_worker.client.async_doors import ask_on

        return await ask_on(connection, self, request)

    async def _submit_each_on(
        self, connection: "psycopg.AsyncConnection[Any]", requests: "Sequence[Request]"
    ) -> list[Handle]:
        """The same for many requests of one kind."""
        from release_worker.client.async_doors import ask_each_on

        return await ask_each_on(connection, self, requests)

    def retry(self, request_id: str, *, organization: str | None = None) -> Handle:
        """Bring a failed request back, with all its attempts. Needs a database.

        Raises RequestNotFound, also for a request of another organization than `organization`, if given,
        InvalidRequest for a request that has not failed, and BrokerUnavailable.
        """
        from release_worker.operations.retry_request import retry_request
        from release_worker.store.engine import ledger_transaction

        with ledger_transaction(self._engine()) as connection:
            record = retry_request(connection, request_id, organization=organization)
        handle = self.handle(record.id, record.kind)
        self._publish(handle, message_of(record), kept=True, others_read=True)  # it may be another client's
        return handle

    def sweep(self) -> "Swept":
        """Publish again what the broker has lost, as the worker's own sweeper does. Needs a database.

        Raises BrokerUnavailable: then what has no attempts left has failed all the same, and the rest is due again
        after some seconds.
        """
        from release_worker.operations.sweep import sweep

        app = self._connections.own().app
        swept = sweep(self._engine(), publisher_again(app), attempts=DEFAULTS.attempts)
        if swept.ended_by is not None:
            raise BrokerUnavailable(reason=swept.ended_by.details["reason"])
        if not swept.published:
            reach_as(app)  # if it is away, nothing to publish is no good news
        return swept

    def editing(
        self,
        session: "SqlAlchemyTransaction",
        toolset: str,
        *,
        scope: "Scope" = "toolset",
        organization: str | None = None,
    ) -> "Subject":
        """Hold what is about to be edited in the session's transaction, so that it is in order with all operations.

        `scope` says whose state: `toolset` (lists, settings, its variations), `project` (deployments, prompts,
        configuration) or `organization` (global variations); if there are several, begin with the last of these.
        Returns the toolset's ids: `toolset_id`, `project_id`, `organization_id`. Waits for a running operation, with
        no timeout of its own. Raises InvalidRequest for a session that cannot be joined, and ToolsetNotFound.
        """
        from release_worker.client.writing_down import hold_what_is_edited

        return hold_what_is_edited(
            session, toolset, scope, organization=organization, schema=self._settings.database_schema
        )
