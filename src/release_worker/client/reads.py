"""What is in the ledger and in the history, read at once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from release_worker.client.asking import Asking

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from release_worker.client.transactions import SqlAlchemyTransaction
    from release_worker.domain.request_record import RequestRecord, Status
    from release_worker.queries.history import ReleaseDescription
    from release_worker.queries.timeline import ListedRelease


class Reads(Asking):
    """The methods of a client that read the database themselves: no worker is asked.

    With `organization`, a slug or an id, what belongs to another organization counts as not there. With `session`, they
    see what that transaction sees.
    """

    def releases(
        self,
        toolset: str,
        *,
        limit: int = 50,
        before: int | None = None,
        organization: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Sequence[ListedRelease]":
        """The newest releases first: `limit` of them, made before the release of the number `before`. Raises
        ToolsetNotFound."""
        from release_worker.queries.history import release_history
        from release_worker.queries.timeline import Chosen

        def read(connection: "Connection") -> "Sequence[ListedRelease]":
            chosen = Chosen(before=before)
            history = release_history(connection, toolset, limit=limit, chosen=chosen, organization=organization)
            return history.timeline.releases

        return self._at_once(read, session)

    def release(
        self,
        toolset: str,
        release_number: int,
        *,
        organization: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "ReleaseDescription":
        """Everything about one release. Raises ToolsetNotFound and ReleaseNotFound."""
        from release_worker.queries.history import describe_release

        return self._at_once(
            lambda connection: describe_release(connection, toolset, release_number, organization=organization), session
        )

    def requests(
        self,
        toolset: str | None = None,
        *,
        statuses: "Sequence[Status]" = (),
        limit: int = 50,
        organization: str | None = None,
        session: "SqlAlchemyTransaction | None" = None,
    ) -> "Sequence[RequestRecord]":
        """The newest requests first: of one toolset, in these statuses, of one organization, if given. Raises
        ToolsetNotFound."""
        from release_worker.store.owners.naming import find_toolset
        from release_worker.store.requests import list_requests

        def read(connection: "Connection") -> "Sequence[RequestRecord]":
            named = None if toolset is None else find_toolset(connection, toolset, organization=organization)
            toolset_id = None if named is None else named.toolset_id
            return list_requests(
                connection, toolset_id=toolset_id, organization=organization, statuses=statuses, limit=limit
            )

        return self._at_once(read, session)

    def request(
        self, request_id: str, *, organization: str | None = None, session: "SqlAlchemyTransaction | None" = None
    ) -> "RequestRecord":
        """One request, with its payload, its result or its error. Raises RequestNotFound."""
        from release_worker.queries.find_request import find_request

        return self._at_once(
            lambda connection: find_request(connection, request_id, organization=organization), session
        )
