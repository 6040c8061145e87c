"""Subscriptions: made, listed, paused, removed; and events that are delivered once more."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.signing import SigningSecret
from release_worker.domain.subject import Scope
from release_worker.domain.subscriptions import NewSubscription, Subscription
from release_worker.store.deliveries import WANTED
from release_worker.store.owners.naming import organization_named
from release_worker.store.owners.relations import organization_of_project
from release_worker.store.statements import parsed

# SQL: the subscription `s` is the organization's that a caller names, if the caller names one.
_OF_CALLER = f"(CAST(:organization AS text) IS NULL OR s.organization_id = {organization_named(':organization')})"
# SQL: the subscription `s` of this id.
_NAMED = f"s.id = :subscription_id AND {_OF_CALLER}"


def insert_subscription(
    connection: Connection, wanted: NewSubscription, owner: tuple[Scope, UUID] | None, secret: SigningSecret | None
) -> UUID:
    """Add it; `secret` signs what goes to a URL. Every event that is written after this has committed is delivered."""
    scope, owner_id = owner or (None, None)
    insert = f"""
        INSERT INTO ours.release_event_subscriptions
            (organization_id, project_id, types, receiver, url, secret, secret_fingerprint, task, queue, after_seq,
             created_by)
        VALUES (
            coalesce(:organization_id, {organization_of_project("CAST(:project_id AS uuid)")}), :project_id,
            CAST(:types AS text[]), :receiver, :url, :secret, :fingerprint, :task, :queue,
            coalesce((SELECT max(seq) FROM ours.release_events), 0), :actor)
        RETURNING id
    """
    parameters = {
        "organization_id": owner_id if scope == "organization" else None,
        "project_id": owner_id if scope == "project" else None,
        "types": list(wanted.types),
        "receiver": wanted.receiver,
        "url": wanted.url,
        "secret": None if secret is None else secret.text,
        "fingerprint": None if secret is None else secret.fingerprint,
        "task": wanted.task,
        "queue": wanted.queue,
        "actor": wanted.actor,
    }
    return UUID(str(connection.execute(parsed(insert), parameters).scalar_one()))


def list_subscriptions(connection: Connection, *, organization: str | None = None) -> list[Subscription]:
    """All of them, or those of an organization and its projects, in the order in which they were made."""
    query = f"""
        SELECT s.id, s.receiver, s.queue, s.types, s.organization_id, s.project_id, s.secret_fingerprint, s.enabled,
               s.disabled_reason, s.failures, s.failing_since, s.paused_until, s.last_delivered_at, s.last_error,
               s.created_by, s.created_at, count(d.seq) FILTER (WHERE d.dead_at IS NULL), count(d.dead_at)
        FROM ours.release_event_subscriptions s
        LEFT JOIN ours.release_event_deliveries d ON d.subscription_id = s.id AND d.delivered_at IS NULL
        WHERE {_OF_CALLER}
        GROUP BY s.id ORDER BY s.id
    """
    return [Subscription(*row) for row in connection.execute(parsed(query), {"organization": organization})]


def set_enabled(
    connection: Connection, subscription_id: UUID, reason: str | None, *, organization: str | None = None
) -> bool:
    """Stop it, for a reason, or let it go on if there is none, as if it had never failed. What was to be delivered when
    it is stopped waits; what happens meanwhile is not for it. False if it is not there."""
    change = f"""
        UPDATE ours.release_event_subscriptions AS s
        SET enabled = CAST(:reason AS text) IS NULL, disabled_reason = :reason, failures = 0, failing_since = NULL,
            paused_until = NULL
        WHERE {_NAMED}
    """
    parameters = {"subscription_id": subscription_id, "reason": reason, "organization": organization}
    return connection.execute(parsed(change), parameters).rowcount == 1


def delete_subscription(connection: Connection, subscription_id: UUID, *, organization: str | None = None) -> bool:
    """Remove it, with its deliveries. False if it is not there."""
    delete = f"DELETE FROM ours.release_event_subscriptions AS s WHERE {_NAMED}"
    parameters = {"subscription_id": subscription_id, "organization": organization}
    return connection.execute(parsed(delete), parameters).rowcount == 1


def is_enabled(connection: Connection, subscription_id: UUID, *, organization: str | None = None) -> bool | None:
    """Whether it is told anything; None if it is not there."""
    query = f"SELECT s.enabled FROM ours.release_event_subscriptions s WHERE {_NAMED}"
    parameters = {"subscription_id": subscription_id, "organization": organization}
    return connection.execute(parsed(query), parameters).scalar()


def redeliver_event(
    connection: Connection, event_id: UUID, subscription_id: UUID | None, *, organization: str | None = None
) -> int:
    """Deliver an event, once more if it was: to this subscription, whatever that wants, or to all that want it. Returns
    to how many."""
    chosen = _NAMED if subscription_id is not None else f"{WANTED} AND {_OF_CALLER}"
    again = f"""
        WITH chosen AS (
            SELECT e.id AS event_id, s.id AS subscription_id, e.seq
            FROM ours.release_events e CROSS JOIN ours.release_event_subscriptions s
            WHERE e.id = :event_id AND s.enabled AND {chosen}),
        roused AS (
            UPDATE ours.release_event_subscriptions AS s SET paused_until = NULL
            FROM chosen WHERE s.id = chosen.subscription_id AND s.paused_until IS NOT NULL)
        INSERT INTO ours.release_event_deliveries (event_id, subscription_id, seq)
        SELECT event_id, subscription_id, seq FROM chosen
        ON CONFLICT (event_id, subscription_id) DO UPDATE
        SET attempts = 0, next_attempt_at = now(), delivered_at = NULL, dead_at = NULL
    """
    parameters = {"event_id": event_id, "subscription_id": subscription_id, "organization": organization}
    return connection.execute(parsed(again), parameters).rowcount


def redeliver_dead(connection: Connection, subscription_id: UUID) -> int:
    """Deliver what was given up for a subscription. Returns how many events these are."""
    again = """
        WITH roused AS (
            UPDATE ours.release_event_subscriptions SET paused_until = NULL
            WHERE id = :subscription_id AND paused_until IS NOT NULL)
        UPDATE ours.release_event_deliveries SET attempts = 0, next_attempt_at = now(), dead_at = NULL
        WHERE subscription_id = :subscription_id AND delivered_at IS NULL AND dead_at IS NOT NULL
    """
    return connection.execute(parsed(again), {"subscription_id": subscription_id}).rowcount
