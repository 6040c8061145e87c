"""Deliveries: which events each subscription still waits for, who delivers them now, and what came of it.

A run of the deliverer leases subscriptions, so that no transaction is open while it sends. A lease that runs out gives
its subscription to the next run, which may send again what was sent and not noted.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.deliveries import DeliveryPolicy, Message, Receiver, jitter
from release_worker.store.statements import parsed

# SQL: a subscription `s` wants an event `e`.
WANTED = """
    (cardinality(s.types) = 0 OR e.type = ANY (s.types))
    AND coalesce(s.organization_id = e.organization_id, s.organization_id IS NULL)
    AND coalesce(s.project_id = e.project_id, s.project_id IS NULL)
"""
# SQL: a delivery `d` has not ended.
_OPEN = "d.delivered_at IS NULL AND d.dead_at IS NULL"


def dispatch(connection: Connection, *, limit: int) -> int:
    """Write a delivery for each subscription that wants one of the oldest events that are new. Returns how many events
    these were.

    What is new is marked on the event: a cursor would pass by an event that commits after one with a higher number.
    """
    query = f"""
        WITH fresh AS (
            SELECT id FROM ours.release_events WHERE dispatched_at IS NULL ORDER BY seq LIMIT :limit
            FOR UPDATE SKIP LOCKED),
        e AS (
            UPDATE ours.release_events SET dispatched_at = now() FROM fresh WHERE release_events.id = fresh.id
            RETURNING release_events.*),
        written AS (
            INSERT INTO ours.release_event_deliveries (event_id, subscription_id, seq)
            SELECT e.id, s.id, e.seq FROM e JOIN ours.release_event_subscriptions s ON {WANTED}
            WHERE s.enabled AND e.seq > s.after_seq
            FOR KEY SHARE OF s
            ON CONFLICT DO NOTHING)
        SELECT count(*) FROM e
    """
    return int(connection.execute(parsed(query), {"limit": limit}).scalar_one())


def lease_receivers(connection: Connection, run_id: UUID, policy: DeliveryPolicy) -> list[Receiver]:
    """Lease subscriptions that something is due for, for this run: those that work before those that fail, then those
    whose turn is longest ago. Returns none while enough other runs are at work."""
    lease = f"""
        WITH due AS (
            SELECT s.id FROM ours.release_event_subscriptions s
            WHERE s.enabled AND coalesce(s.paused_until <= now(), true) AND coalesce(s.lease_until <= now(), true)
              AND EXISTS (
                  SELECT FROM ours.release_event_deliveries d
                  WHERE d.subscription_id = s.id AND {_OPEN} AND d.next_attempt_at <= now())
              AND :runs > (
                  SELECT count(DISTINCT leased_by) FROM ours.release_event_subscriptions WHERE lease_until > now())
            ORDER BY s.failures > 0, s.lease_until NULLS FIRST LIMIT :receivers
            FOR UPDATE SKIP LOCKED)
        UPDATE ours.release_event_subscriptions AS s
        SET leased_by = :run_id, lease_until = now() + make_interval(secs => :lease)
        FROM due WHERE s.id = due.id
        RETURNING s.id, s.url, s.secret, s.task, s.queue
    """
    parameters = {"run_id": run_id, "runs": policy.runs, "receivers": policy.receivers, "lease": policy.lease}
    return [Receiver(*row) for row in connection.execute(parsed(lease), parameters)]


def release_receiver(connection: Connection, receiver: Receiver, run_id: UUID, *, delivered: bool) -> None:
    """End this run's lease, and note whether it has delivered anything."""
    release = """
        UPDATE ours.release_event_subscriptions
        SET leased_by = NULL, lease_until = now(),
            last_delivered_at = CASE WHEN :delivered THEN now() ELSE last_delivered_at END
        WHERE id = :subscription_id AND leased_by = :run_id
    """
    parameters = {"subscription_id": receiver.subscription_id, "run_id": run_id, "delivered": delivered}
    connection.execute(parsed(release), parameters)


def due_messages(connection: Connection, receiver: Receiver, *, limit: int) -> list[Message]:
    """The oldest events that are due for a subscription, if it is still wanted."""
    query = f"""
        SELECT e.id, e.type, e.toolset_id, e.data, e.created_at, d.attempts
        FROM ours.release_event_deliveries d
        JOIN ours.release_events e ON e.id = d.event_id
        JOIN ours.release_event_subscriptions s ON s.id = d.subscription_id AND s.enabled
        WHERE d.subscription_id = :subscription_id AND {_OPEN} AND d.next_attempt_at <= now()
        ORDER BY d.seq LIMIT :limit
    """
    parameters = {"subscription_id": receiver.subscription_id, "limit": limit}
    return [Message(*row) for row in connection.execute(parsed(query), parameters)]


def note_delivered(connection: Connection, receiver: Receiver, message: Message) -> None:
    """The receiver has it, and so it works."""
    note = """
        WITH noted AS (
            UPDATE ours.release_event_deliveries
            SET delivered_at = clock_timestamp(), dead_at = NULL, attempts = attempts + 1, last_error = NULL
            WHERE event_id = :event_id AND subscription_id = :subscription_id AND delivered_at IS NULL)
        UPDATE ours.release_event_subscriptions SET failures = 0, failing_since = NULL, paused_until = NULL
        WHERE id = :subscription_id AND failures > 0
    """
    connection.execute(parsed(note), {"event_id": message.id, "subscription_id": receiver.subscription_id})


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt. `wait`: seconds until the next one at this event, None if it is given up; `disable`: the
    receiver wants nothing any more."""

    reason: str
    wait: float | None
    disable: bool = False


def note_failed(
    connection: Connection, receiver: Receiver, message: Message, failure: Failure, policy: DeliveryPolicy
) -> str | None:
    """Note a failed attempt, and let the receiver rest. One that has only failed for too long is told nothing more, and
    what it still waits for is given up. Returns why it is told nothing more, None if it is."""
    note = """
        UPDATE ours.release_event_deliveries
        SET attempts = attempts + 1, last_error = :reason,
            dead_at = CASE WHEN CAST(:wait AS float) IS NULL THEN now() END,
            next_attempt_at = now() + make_interval(secs => coalesce(CAST(:wait AS float), 0))
        WHERE event_id = :event_id AND subscription_id = :subscription_id AND delivered_at IS NULL AND dead_at IS NULL
    """
    rest = """
        UPDATE ours.release_event_subscriptions
        SET failures = failures + 1, last_error = :reason, failing_since = coalesce(failing_since, now()),
            paused_until = now() + make_interval(
                secs => :jitter * least(:longest_pause, :first_pause * 2 ^ least(failures, 20))),
            enabled = enabled AND NOT :disable AND coalesce(failing_since > now() - :give_up_after, true),
            disabled_reason = CASE
                WHEN NOT enabled THEN disabled_reason
                WHEN :disable THEN :reason
                WHEN failing_since <= now() - :give_up_after THEN 'it has only failed for too long: ' || :reason
            END
        WHERE id = :subscription_id
        RETURNING disabled_reason
    """
    parameters = {
        "event_id": message.id,
        "subscription_id": receiver.subscription_id,
        "reason": failure.reason,
        "wait": failure.wait,
        "disable": failure.disable,
        "give_up_after": policy.give_up_after,
        "first_pause": policy.first_pause,
        "longest_pause": policy.longest_pause,
        "jitter": jitter(),
    }
    connection.execute(parsed(note), parameters)
    disabled: str | None = connection.execute(parsed(rest), parameters).scalar()
    if disabled is not None:
        connection.execute(parsed(_GIVE_UP), {"subscription_id": receiver.subscription_id})
    return disabled


_GIVE_UP = """
    UPDATE ours.release_event_deliveries SET dead_at = now()
    WHERE subscription_id = :subscription_id AND delivered_at IS NULL AND dead_at IS NULL
"""


def delete_old_events(connection: Connection, *, older_than: timedelta, limit: int) -> int:
    """Delete the oldest events that are older, at most `limit` of them, with their deliveries; but none that somebody
    still waits for. Returns how many these were; any number of callers may do so at once."""
    delete = """
        DELETE FROM ours.release_events WHERE id IN (
            SELECT id FROM ours.release_events e
            WHERE created_at < now() - :older_than AND dispatched_at IS NOT NULL
              AND NOT EXISTS (
                  SELECT FROM ours.release_event_deliveries d
                  WHERE d.event_id = e.id AND d.delivered_at IS NULL AND d.dead_at IS NULL)
            ORDER BY seq LIMIT :limit
            FOR UPDATE SKIP LOCKED)
    """
    return connection.execute(parsed(delete), {"older_than": older_than, "limit": limit}).rowcount
