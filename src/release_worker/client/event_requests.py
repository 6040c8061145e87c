"""What happened, and who is told."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from release_worker.client.asking import Asking
from release_worker.domain.requests.kinds import validated

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from release_worker.domain.events import EventRecord
    from release_worker.domain.subscriptions import Subscribed, Subscription

T = TypeVar("T")


class EventRequests(Asking):
    """The methods of a client for events. They need a database; those that write, the rights of a worker in it.

    If `organization`, a slug or an id, is given to a method that does not make a subscription, what belongs to another
    organization counts as not there.
    """

    def subscribe(
        self,
        url: str,
        *,
        actor: str,
        secret: str | None = None,
        types: Sequence[str] = (),
        project: str | None = None,
        organization: str | None = None,
    ) -> "Subscribed":
        """Let events be posted to `url`, signed as Standard Webhooks has it: those of these `types`, of all toolsets or
        of a project's (`organization/project`) or an organization's.

        `secret` is `whsec_` and base64; if none is given, the answer has a new one, which is not told again. Raises
        InvalidRequest and OwnerNotFound.
        """
        return self._subscribe(
            url=url, actor=actor, secret=secret, types=tuple(types), project=project, organization=organization
        )

    def subscribe_task(
        self,
        task: str,
        *,
        queue: str,
        actor: str,
        types: Sequence[str] = (),
        project: str | None = None,
        organization: str | None = None,
    ) -> "Subscribed":
        """Let events be sent to the Celery task of this name, on a queue of our broker that some worker reads, as its
        keyword argument `event`. Otherwise as `subscribe`."""
        return self._subscribe(
            task=task, queue=queue, actor=actor, types=tuple(types), project=project, organization=organization
        )

    def subscriptions(self, *, organization: str | None = None) -> "list[Subscription]":
        """Every subscription, with how it does; secrets are told by their fingerprints alone."""
        from release_worker.store.subscriptions import list_subscriptions

        return self._in_ledger(lambda connection: list_subscriptions(connection, organization=organization))

    def unsubscribe(self, subscription_id: str, *, organization: str | None = None) -> None:
        """Remove a subscription. Raises SubscriptionNotFound."""
        from release_worker.operations.subscribing import unsubscribe

        self._in_ledger(lambda connection: unsubscribe(connection, subscription_id, organization=organization))

    def pause_subscription(self, subscription_id: str, *, actor: str, organization: str | None = None) -> None:
        """Let a subscription be told nothing. What it waits for stays; what happens meanwhile is not for it. Raises
        SubscriptionNotFound."""
        from release_worker.operations.subscribing import switch

        reason = f"paused by {actor}"
        self._in_ledger(lambda connection: switch(connection, subscription_id, reason, organization=organization))

    def resume_subscription(self, subscription_id: str, *, organization: str | None = None) -> None:
        """Let a subscription that was paused, or gave up, be told again. Raises SubscriptionNotFound."""
        from release_worker.operations.subscribing import switch

        self._in_ledger(lambda connection: switch(connection, subscription_id, None, organization=organization))

    def redeliver(self, event_id: str | None = None, *, to: str | None = None, organization: str | None = None) -> int:
        """Deliver an event once more, under the same id: to the subscription `to`, or to all that want it. Without an
        event, everything that was given up for `to`. Returns how many deliveries that makes.

        Raises EventNotFound, SubscriptionNotFound, and InvalidRequest for a subscription that is paused.
        """
        from release_worker.operations.subscribing import redeliver

        return self._in_ledger(lambda connection: redeliver(connection, event_id, to=to, organization=organization))

    def events(
        self,
        toolset: str | None = None,
        *,
        types: Sequence[str] = (),
        before: int | None = None,
        limit: int = 50,
        organization: str | None = None,
    ) -> "list[EventRecord]":
        """The newest events first: of a toolset, of these types, before this `seq`. Raises ToolsetNotFound."""
        from release_worker.domain.events import EventFilter
        from release_worker.store.events import list_events
        from release_worker.store.owners.naming import find_toolset

        def look(connection: "Connection") -> "list[EventRecord]":
            found = None if toolset is None else find_toolset(connection, toolset, organization=organization)
            chosen = EventFilter(None if found is None else found.toolset_id, types, before, organization)
            return list_events(connection, chosen, limit=limit)

        return self._in_ledger(look)

    def _subscribe(self, **wanted: object) -> "Subscribed":
        from release_worker.domain.subscriptions import NewSubscription
        from release_worker.operations.subscribing import subscribe

        checked = validated(NewSubscription, wanted)
        return self._in_ledger(lambda connection: subscribe(connection, checked))

    def _in_ledger(self, work: "Callable[[Connection], T]") -> T:
        """In a transaction of its own."""
        from release_worker.store.engine import ledger_transaction

        with ledger_transaction(self._engine()) as connection:
            return work(connection)
