"""How much there is at this moment, for metrics. Each query reads what is unfinished or small, never a whole ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Requests of one kind and status. `oldest`: seconds since one was asked for; `unpublished`: since one was asked
    for, due or published. `due` and `waiting` are retries; `good` and `expired` are leases."""

    kind: str
    status: str
    count: int
    oldest: float
    unpublished: float
    due: int
    waiting: int
    good: int
    expired: int


def unfinished_requests(connection: Connection) -> list[Unfinished]:
    """By kind and status."""
    query = """
        SELECT kind, status, count(*),
               extract(epoch FROM greatest(now() - min(created_at), interval '0')),
               coalesce(extract(epoch FROM greatest(
                   now() - min(greatest(created_at, published_at, next_attempt_at)) FILTER (WHERE status = 'queued'),
                   interval '0')), 0),
               count(*) FILTER (WHERE status = 'queued' AND next_attempt_at <= now()),
               count(*) FILTER (WHERE status = 'queued' AND next_attempt_at > now()),
               count(*) FILTER (WHERE status = 'running' AND lease_until >= now()),
               count(*) FILTER (WHERE status = 'running' AND lease_until < now())
        FROM ours.release_requests WHERE status IN ('queued', 'running')
        GROUP BY kind, status
    """
    return [
        Unfinished(kind, status, count, float(oldest), float(unpublished), *counts)
        for kind, status, count, oldest, unpublished, *counts in connection.execute(parsed(query))
    ]


def behind_others(connection: Connection) -> int:
    """How many unfinished requests are not the first of their toolset."""
    query = """
        SELECT count(*) - count(DISTINCT toolset_id) FROM ours.release_requests WHERE status IN ('queued', 'running')
    """
    behind: int = connection.execute(parsed(query)).scalar_one()
    return behind


@dataclass(frozen=True, slots=True)
class TableSize:
    """`rows` is PostgreSQL's estimate, from its last look at the table."""

    table: str
    rows: int
    bytes: int


def table_sizes(connection: Connection, tables: Sequence[str]) -> list[TableSize]:
    """Of those of these tables that are there."""
    query = """
        SELECT relname, CAST(greatest(reltuples, 0) AS bigint), pg_total_relation_size(pg_class.oid)
        FROM pg_class
        WHERE relkind = 'r' AND pg_class.oid = ANY (
            SELECT to_regclass('ours.' || name) FROM unnest(CAST(:tables AS text[])) AS name)
        ORDER BY 1
    """
    return [TableSize(*row) for row in connection.execute(parsed(query), {"tables": list(tables)})]


def unfolded_measurements(connection: Connection) -> int:
    """How many measurements are not added to their totals."""
    count: int = connection.execute(parsed("SELECT count(*) FROM ours.release_measurements")).scalar_one()
    return count


@dataclass(frozen=True, slots=True)
class EventBacklog:
    """`oldest`: seconds since the oldest event happened that somebody has still to be given."""

    undispatched: int
    open: int
    dead: int
    oldest: float


def event_backlog(connection: Connection) -> EventBacklog:
    """What is to be delivered, or was given up."""
    query = """
        WITH undispatched AS (
            SELECT count(*) AS count, min(created_at) AS since FROM ours.release_events WHERE dispatched_at IS NULL),
        undelivered AS (
            SELECT count(*) FILTER (WHERE dead_at IS NULL) AS open, count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead,
                   min(seq) FILTER (WHERE dead_at IS NULL AND enabled) AS first
            FROM ours.release_event_deliveries JOIN ours.release_event_subscriptions AS s ON s.id = subscription_id
            WHERE delivered_at IS NULL)
        SELECT count, open, dead, coalesce(extract(epoch FROM greatest(interval '0', clock_timestamp() - least(
                   since, (SELECT created_at FROM ours.release_events WHERE seq = first)))), 0)
        FROM undispatched, undelivered
    """
    undispatched, still_open, dead, oldest = connection.execute(parsed(query)).one()
    return EventBacklog(undispatched, still_open, dead, float(oldest))


def schedules_by_state(connection: Connection) -> Mapping[str, int]:
    """How many are enabled, held by a freeze, suspended and paused."""
    query = """
        SELECT CASE WHEN suspended_reason IS NOT NULL THEN 'suspended' WHEN NOT enabled THEN 'paused'
                    WHEN held_until IS NOT NULL THEN 'held' ELSE 'enabled' END, count(*)
        FROM ours.release_schedules GROUP BY 1
    """
    return {str(state): int(count) for state, count in connection.execute(parsed(query))}


def oldest_due_schedule(connection: Connection) -> float:
    """Seconds since the first schedule was due that has not fired; 0 if none is due."""
    query = """
        SELECT coalesce(extract(epoch FROM greatest(interval '0', now() - min(next_fire_at))), 0)
        FROM ours.release_schedules WHERE enabled AND suspended_reason IS NULL
    """
    return float(connection.execute(parsed(query)).scalar_one())


@dataclass(frozen=True, slots=True)
class DriftSeen:
    """How many toolsets with a current release have drifted, have not, could not be looked at, or were not yet; and
    seconds since the look that is the longest ago."""

    drifted: int
    same: int
    failed: int
    unchecked: int
    oldest_look: float


def drift_seen(connection: Connection) -> DriftSeen:
    """As the worker saw it last."""
    query = """
        SELECT count(*) FILTER (WHERE checked_at IS NOT NULL AND failed IS NULL AND drifted),
               count(*) FILTER (WHERE checked_at IS NOT NULL AND failed IS NULL AND NOT drifted),
               count(*) FILTER (WHERE failed IS NOT NULL),
               count(*) FILTER (WHERE checked_at IS NULL AND failed IS NULL),
               coalesce(extract(epoch FROM greatest(interval '0', now() - min(checked_at))), 0)
        FROM ours.toolset_drift
    """
    drifted, same, failed, unchecked, oldest = connection.execute(parsed(query)).one()
    return DriftSeen(drifted, same, failed, unchecked, float(oldest))


def freezes_by_state(connection: Connection) -> Mapping[str, int]:
    """How many are active now, and how many are planned."""
    query = """
        SELECT count(*) FILTER (WHERE starts_at <= now()), count(*) FILTER (WHERE starts_at > now())
        FROM ours.release_freezes WHERE ends_at > now()
    """
    active, planned = connection.execute(parsed(query)).one()
    return {"active": active, "planned": planned}
