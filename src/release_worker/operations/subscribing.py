"""Subscriptions, as those who may make them ask for them."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.signing import SigningSecret
from release_worker.domain.subscriptions import NewSubscription, Subscribed
from release_worker.errors import EventNotFound, InvalidRequest, SubscriptionNotFound
from release_worker.store.events import event_is_there
from release_worker.store.owners.listing import find_owner
from release_worker.store.subscriptions import (
    delete_subscription,
    insert_subscription,
    is_enabled,
    redeliver_dead,
    redeliver_event,
    set_enabled,
)


def subscribe(connection: Connection, wanted: NewSubscription) -> Subscribed:
    """Make a subscription; a secret is made for a URL that comes without. Raises OwnerNotFound."""
    owner = None if wanted.project is None and wanted.organization is None else find_owner(connection, wanted)
    if wanted.url is None:
        return Subscribed(insert_subscription(connection, wanted, owner, None), wanted.receiver)
    secret = SigningSecret.generate() if wanted.secret is None else SigningSecret.parse(wanted.secret)
    subscription_id = insert_subscription(connection, wanted, owner, secret)
    return Subscribed(subscription_id, wanted.receiver, secret.text if wanted.secret is None else None)


def unsubscribe(connection: Connection, subscription_id: str, *, organization: str | None = None) -> None:
    """Remove a subscription, with what it waits for. Raises SubscriptionNotFound."""
    if not delete_subscription(connection, _id_of(subscription_id), organization=organization):
        raise SubscriptionNotFound(subscription_id=subscription_id)


def switch(
    connection: Connection, subscription_id: str, reason: str | None, *, organization: str | None = None
) -> None:
    """Stop a subscription for a reason, or let it go on if there is none. Raises SubscriptionNotFound."""
    if not set_enabled(connection, _id_of(subscription_id), reason, organization=organization):
        raise SubscriptionNotFound(subscription_id=subscription_id)


def redeliver(
    connection: Connection, event_id: str | None, *, to: str | None = None, organization: str | None = None
) -> int:
    """Deliver an event once more, to one subscription or to all that want it; without an event, all that was given up
    for one subscription. Returns how many deliveries that makes.

    Raises EventNotFound, SubscriptionNotFound, and InvalidRequest for a subscription that is told nothing.
    """
    subscription_id = None if to is None else _id_of(to)
    if subscription_id is not None:
        _check_enabled(is_enabled(connection, subscription_id, organization=organization), to)
    if event_id is not None:
        wanted = _uuid(event_id)
        if wanted is None or not event_is_there(connection, wanted, organization=organization):
            raise EventNotFound(event_id=event_id)
        return redeliver_event(connection, wanted, subscription_id, organization=organization)
    if subscription_id is None:
        problem = {"field": "event_id", "problem": "an event, a subscription or both must be given"}
        raise InvalidRequest(problem["problem"], problems=[problem])
    return redeliver_dead(connection, subscription_id)


def _check_enabled(enabled: bool | None, subscription_id: str | None) -> None:
    if enabled is None:
        raise SubscriptionNotFound(subscription_id=subscription_id)
    if not enabled:
        problem = f"subscription {subscription_id} is paused: resume it first"
        raise InvalidRequest(problem, problems=[{"field": "to", "problem": problem}])


def _id_of(subscription_id: str) -> UUID:
    found = _uuid(subscription_id)
    if found is None:
        raise SubscriptionNotFound(subscription_id=subscription_id)
    return found


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
