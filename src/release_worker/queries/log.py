"""The trail of what was asked of a toolset and what came of it: done, failed, running or still waiting."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.request_record import Status
from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One operation. `at` is when it ended, or if it has not, when it began or was asked for. `details` are the simple
    values of what was asked and of what came of it; `error` is `{type, message}`."""

    seq: int
    at: datetime
    actor: str
    operation: str
    request_id: str
    status: Status
    asked_at: datetime
    attempts: int
    details: dict[str, Any]
    error: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which entries: asked before the one of this `seq`, by this actor, of these operations, in these statuses, of this
    time on, and `writing` only those that change something. What is None, empty or false chooses nothing."""

    before: int | None = None
    actor: str | None = None
    operations: Sequence[str] = ()
    statuses: Sequence[str] = ()
    since: datetime | None = None
    writing: bool = False


# Kinds of requests that change nothing, as a plan of a rollback does not.
READING = ("check_drift", "diff", "status", "verify")
ALL = LogFilter()


def toolset_log(connection: Connection, toolset_id: UUID, *, limit: int, chosen: LogFilter = ALL) -> list[LogEntry]:
    """The newest `limit` operations that were asked of a toolset, the newest first: in the order in which they are
    done."""
    query = f"""
        SELECT seq, coalesce(finished_at, started_at, created_at) AS at, requested_by AS actor, kind AS operation,
               id AS request_id, status, created_at AS asked_at, attempts,
               {_simple("payload")} || {_simple("result")} AS details,
               CASE WHEN error IS NOT NULL
                    THEN jsonb_build_object('type', error -> 'type', 'message', error -> 'message') END AS error
        FROM ours.release_requests
        WHERE toolset_id = :toolset_id
          AND (CAST(:before AS bigint) IS NULL OR seq < :before)
          AND (CAST(:actor AS text) IS NULL OR requested_by = :actor)
          AND (cardinality(CAST(:operations AS text[])) = 0 OR kind = ANY (CAST(:operations AS text[])))
          AND (cardinality(CAST(:statuses AS text[])) = 0 OR status = ANY (CAST(:statuses AS text[])))
          AND (CAST(:since AS timestamptz) IS NULL OR created_at >= :since)
          AND NOT (:writing AND (
              kind = ANY (CAST(:reading AS text[])) OR coalesce(payload -> 'dry_run' = 'true', false)))
        ORDER BY seq DESC LIMIT :limit
    """
    parameters = {
        "toolset_id": toolset_id,
        "limit": limit,
        "before": chosen.before,
        "actor": chosen.actor,
        "operations": list(chosen.operations),
        "statuses": list(chosen.statuses),
        "since": chosen.since,
        "writing": chosen.writing,
        "reading": list(READING),
    }
    return [LogEntry(**row._mapping) for row in connection.execute(parsed(query), parameters)]


def _simple(column: str) -> str:
    """SQL: the members of an object that are one value, and say more than the entry does."""
    said = "'toolset', 'organization', 'actor', 'toolset_id', 'idempotency_key', 'path'"
    return f"""coalesce((
                   SELECT jsonb_object_agg(key, value) FROM jsonb_each({column})
                   WHERE jsonb_typeof(value) IN ('number', 'boolean', 'string') AND key NOT IN ({said})), '{{}}')"""
