"""The one path on which requests leave the ledger: those that ended long ago and that nothing names any more."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection

from release_worker.store.owners.relations import current_release_of, is_live
from release_worker.store.statements import parsed

# SQL: a record names the request. Each names it by what it came to, so that it stays as long as that does.
_NAMED = " OR ".join(
    f"EXISTS (SELECT FROM ours.{table} AS record WHERE record.request_id = request.id)"
    for table in ("toolset_releases", "toolset_rollbacks", "release_marks")
)
# SQL: the request is a plan that somebody may still apply: what it was made from has not been left behind.
_APPLICABLE = f"""
    request.kind = 'rollback' AND request.status = 'succeeded' AND request.payload -> 'dry_run' = 'true'
    AND {is_live("request.toolset_id")}
    AND coalesce(request.result -> 'from_release_number', 'null') = coalesce((
        SELECT to_jsonb(release_number) FROM ours.toolset_releases
        WHERE id = {current_release_of("request.toolset_id")}), 'null')
    AND EXISTS (
        SELECT FROM ours.toolset_releases AS target
        WHERE target.toolset_id = request.toolset_id
          AND to_jsonb(target.release_number) = request.result -> 'to_release_number')
"""
# SQL: a schedule fires the request's instant again when a freeze ends, for those toolsets that have no such request.
_FIRED_AGAIN = """EXISTS (
    SELECT FROM ours.release_schedules AS schedule
    WHERE schedule.held_fire_at IS NOT NULL
      AND starts_with(request.idempotency_key, 'schedule:' || schedule.id || ':'))
"""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one batch came to. `deleted` counts by kind and status; `looked_until` is the `seq` of the last row that was
    looked at, None if none of them was old enough: then those that follow are not either."""

    deleted: Counter[tuple[str, str]]
    looked_until: int | None


def forget_requests(connection: Connection, *, after: int, older_than: timedelta, size: int) -> Forgotten:
    """Look at the next `size` rows after this `seq`, and delete those that ended longer ago than `older_than`, unless
    something names them: a release, a rollback or a mark; a request that has not ended and applies the plan; a schedule
    that waits for the end of a freeze; or what may still be applied, a plan itself. A row that somebody holds is passed
    by.
    """
    query = f"""
        WITH looked AS MATERIALIZED (
            SELECT id, seq, created_at < now() - :older_than AS old FROM ours.release_requests
            WHERE seq > :after ORDER BY seq LIMIT :size),
        doomed AS MATERIALIZED (
            SELECT request.id FROM ours.release_requests AS request
            WHERE request.id IN (SELECT id FROM looked WHERE old)
              AND request.status IN ('succeeded', 'failed') AND request.finished_at < now() - :older_than
              AND NOT ({_NAMED})
              AND request.id NOT IN (
                  SELECT payload ->> 'plan_id' FROM ours.release_requests
                  WHERE status IN ('queued', 'running') AND payload ->> 'plan_id' IS NOT NULL)
              AND NOT ({_APPLICABLE})
              AND NOT {_FIRED_AGAIN}
            FOR UPDATE OF request SKIP LOCKED),
        gone AS (
            DELETE FROM ours.release_requests WHERE id IN (SELECT id FROM doomed) RETURNING kind, status)
        SELECT (SELECT CASE WHEN bool_or(old) THEN max(seq) END FROM looked) AS looked_until, kind, status, count(*)
        FROM (SELECT) AS always LEFT JOIN gone ON true
        GROUP BY kind, status
    """
    parameters = {"after": after, "older_than": older_than, "size": size}
    rows = connection.execute(parsed(query), parameters).all()
    deleted = Counter({(kind, status): number for _, kind, status, number in rows if kind is not None})
    return Forgotten(deleted, rows[0][0])


def first_and_last(connection: Connection) -> tuple[int, int]:
    """The smallest and the largest `seq` in the ledger; zeros if it is empty."""
    query = "SELECT coalesce(min(seq), 0), coalesce(max(seq), 0) FROM ours.release_requests"
    first, last = connection.execute(parsed(query)).one()
    return first, last
