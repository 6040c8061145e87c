"""Many requests at once, and the wait for all of them."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from uuid_utils import uuid7

from release_worker.broker.publishing import message_of
from release_worker.client.asking import Asking, message_of_accepted, refuse_what_is_for_no_toolset
from release_worker.client.connections import twice
from release_worker.client.request_handle import RequestHandle
from release_worker.domain.requests.kinds import validate_request, validated
from release_worker.errors import ReleaseWorkerError
from release_worker.tracing.choosing import tracing_of_caller

if TYPE_CHECKING:
    from release_worker.client.doors import Door
    from release_worker.client.transactions import CallersTransaction
    from release_worker.domain.owner_name import OwnerName
    from release_worker.domain.request_record import RequestRecord
    from release_worker.domain.requests.create_release import CreateReleaseResult
    from release_worker.domain.requests.request import Request, Result
    from release_worker.domain.subject import Subject
    from release_worker.store.accepting import Accepted
    from release_worker.store.accepting_together import Asked

R = TypeVar("R", bound="Result")

_PLAIN_PATH = re.compile(r"[\w.~-]+(/[\w.~-]+){2}")


class ReleaseOptions(TypedDict, total=False):
    """The arguments of `create_release` but for the toolset."""

    actor: str
    notes: str | None
    labels: Mapping[str, Any] | None
    only_if_changed: bool
    expected_current_release: int | None
    override_freeze: str | None
    idempotency_key: str | None
    organization: str | None


class BulkRequests(Asking):
    """Asks for the same of many toolsets. Needs a database."""

    def release_all(
        self,
        *,
        project: str | None = None,
        organization: str | None = None,
        actor: str,
        notes: str | None = None,
        labels: Mapping[str, Any] | None = None,
        override_freeze: str | None = None,
        idempotency_key: str | None = None,
    ) -> "dict[str, RequestHandle[CreateReleaseResult]]":
        """Ask for a release of each live toolset of a project (`organization/project`) or an organization (a slug or an
        id) that differs from its current release. Returns the handles by the toolsets' paths, or by the id of a toolset
        whose path is that of another, too.

        All requests are accepted, or none. The key serves for each toolset: asked again with it, this returns the
        handles of the same requests, and those of toolsets that came since. Other releases go before these. Raises
        OwnerNotFound, InvalidRequest, IdempotencyConflict and BrokerUnavailable; in the last, all requests are kept.
        """
        from release_worker.domain.owner_name import OwnerName

        owner = validated(OwnerName, {"project": project, "organization": organization})
        fields = {
            "actor": actor,
            "notes": notes,
            "labels": None if labels is None else dict(labels),
            "only_if_changed": True,
            "override_freeze": override_freeze,
            "idempotency_key": idempotency_key,
        }
        ids: dict[Any, str] = {}  # by toolset; what did arrive is found under its id
        accepted = twice(lambda: self._write_down_all(owner, fields, ids))
        handles: dict[str, RequestHandle[CreateReleaseResult]] = {
            path: RequestHandle(self, record.id, record.kind, published=record.finished)
            for path, record in accepted.items()
        }
        own = frozenset(ids.values())
        for path, record in accepted.items():
            if not record.finished:
                message = message_of(record, behind_others=True)
                self._publish(handles[path], message, kept=True, others_read=record.id not in own)
        return handles

    def create_releases(
        self,
        releases: Iterable[str | Mapping[str, Any]],
        *,
        session: "CallersTransaction | None" = None,
        **options: Unpack[ReleaseOptions],
    ) -> "list[RequestHandle[CreateReleaseResult]]":
        """Ask for many releases at once, with one statement: each is a toolset's name, or the arguments of
        `create_release` for it; `options` are arguments for all of them. Returns the handles in their order.

        All requests are accepted, or none; in a `session`, those before a refused one are part of its transaction.
        Raises ToolsetNotFound, and what `create_release` raises; after BrokerUnavailable, all requests are kept.
        """
        asked = {str(uuid7()): request for request in requests_for(releases, options)}
        if not asked:
            return []
        with tracing_of_caller().span("ask create_release", role="producer", kind="create_release", count=len(asked)):
            if session is not None:
                return self._each_in(self._door(session), asked)
            kept = twice(lambda: self._each_by_itself(asked))
            handles = [self._handle_of(one) for one in kept]
            self._publish_each(kept, handles, asked)
            return handles

    def _publish_each(
        self, kept: "Sequence[Accepted]", handles: "Sequence[RequestHandle[Any]]", own: "Collection[str]"
    ) -> None:
        """`own` are the ids of requests that were not there before. Raises BrokerUnavailable for the first that cannot
        be published; the others are not tried."""
        for one, handle in zip(kept, handles, strict=True):
            if not one.record.finished:
                self._publish(handle, message_of_accepted(one), kept=True, others_read=handle.id not in own)

    def _each_in(self, door: "Door", asked: "Mapping[str, Request]") -> "list[RequestHandle[CreateReleaseResult]]":
        kept = _accepted_each(door, asked)
        handles = [self._handle_of(one, made_in=door.transaction()) for one in kept]
        if not door.announced:
            door.after_commit(partial(self._publish_each, kept, handles, asked))
        return handles

    def _each_by_itself(self, asked: "Mapping[str, Request]") -> "list[Accepted]":
        from release_worker.client.doors import ConnectionDoor
        from release_worker.store.accepting import KEY_WAIT
        from release_worker.store.engine import ledger_transaction

        with ledger_transaction(self._engine()) as connection:
            kept = _accepted_each(ConnectionDoor(connection), asked, announced=False, lock_timeout=KEY_WAIT)
            for one in kept:
                refuse_what_is_for_no_toolset(one)  # and then none of them is kept
        return kept

    def wait(
        self, handles: Iterable[RequestHandle[R]], timeout: float | None = None
    ) -> Iterator[tuple[RequestHandle[R], R | ReleaseWorkerError]]:
        """Each handle with its request's result or error, as soon as that request has ended.

        Raises ResultTimeout if none of them ends for `timeout` seconds (None: waits for ever), ResultUnavailable if the
        database is away, and RequestNotFound for a request whose transaction has not been committed.
        """
        from release_worker.client.writing_down import in_the_order_of_their_ends

        by_id = {handle.id: handle for handle in handles}
        for record in in_the_order_of_their_ends(self._engine(), list(by_id), timeout):
            yield by_id[record.id], ended_as(record)

    def _ended_of(self, request_ids: Sequence[str]) -> "list[RequestRecord]":
        """Those of these requests that have ended. Raises RequestNotFound and ResultUnavailable."""
        from release_worker.client.writing_down import ended_of

        return ended_of(self._engine(), request_ids)

    def _write_down_all(
        self, owner: "OwnerName", fields: Mapping[str, Any], ids: dict[Any, str]
    ) -> "dict[str, RequestRecord]":
        from release_worker.domain.requests.fields import LONGEST_PATH
        from release_worker.store.accepting_together import Asked, accept_together
        from release_worker.store.engine import ledger_transaction
        from release_worker.store.owners.listing import toolsets_of

        def asked(subject: "Subject") -> "Asked":
            # A path with odd characters, or a very long path, would be refused; the id means the same.
            plain = _PLAIN_PATH.fullmatch(subject.path) and len(subject.path) <= LONGEST_PATH
            name = subject.path if plain else str(subject.toolset_id)
            request_id = ids.setdefault(subject.toolset_id, str(uuid7()))
            return Asked(
                request_id, subject.toolset_id, validate_request("create_release", {**fields, "toolset": name})
            )

        trace = tracing_of_caller().traceparent()
        with ledger_transaction(self._engine()) as connection:
            subjects = toolsets_of(connection, owner)
            records = accept_together(connection, [asked(subject) for subject in subjects], traceparent=trace)
        paths = Counter(subject.path for subject in subjects)
        return {
            subject.path if paths[subject.path] == 1 else str(subject.toolset_id): record
            for subject, record in zip(subjects, records, strict=True)
        }


def requests_for(releases: Iterable[str | Mapping[str, Any]], options: Mapping[str, Any]) -> "list[Request]":
    """The requests that `create_releases` is asked for. Raises InvalidRequest."""
    given = [{"toolset": one} if isinstance(one, str) else one for one in releases]
    return [validate_request("create_release", {**options, **fields}) for fields in given]


def ended_as(record: "RequestRecord") -> Any:
    """The result of a request that has ended, or its error."""
    return record.stored_error() if record.status == "failed" else record.answer()


def _accepted_each(
    door: "Door", asked: "Mapping[str, Request]", *, announced: bool | None = None, lock_timeout: str | None = None
) -> "list[Accepted]":
    from release_worker.store.accepting import ACCEPT_EACH, accepted_each, asking_each

    trace = tracing_of_caller().traceparent()
    told = door.announced if announced is None else announced
    parameters = asking_each(asked, announced=told, lock_timeout=lock_timeout, traceparent=trace)
    return accepted_each(door.answers(ACCEPT_EACH, parameters), asked)
