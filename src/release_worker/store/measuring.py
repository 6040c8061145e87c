"""What metrics count: rows that triggers have added for each request or attempt that ended, and their totals.

A total never goes back, whatever happens to the rows of the ledger: a failed request that is brought back and then
succeeds has ended twice, and a row that is deleted has ended all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from sqlalchemy import Connection

from release_worker.domain.release import ReleaseKind
from release_worker.domain.requests.kinds import KINDS
from release_worker.errors import ERROR_NAMES
from release_worker.store.statements import parsed

# Seconds: bounds of the buckets of every histogram. From a statement to the hard time limit of a task, and above.
BOUNDS: Sequence[float] = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 600.0,
)  # fmt: skip
# Anyone whom the grants allow to may write any kind into the ledger, and a plug-in raises errors of its own.
OTHER = "other"
_KINDS = (*KINDS, *get_args(ReleaseKind))
# Durations that are measured as a whole; other names are steps.
WHOLE = ("queue_wait", "request", "attempt", "lock_wait", "lock_hold")
STEP = "step"
# What is counted by the type of an error, whatever the kind of the request.
OF_ERRORS = ("failures", "postponements")


@dataclass(frozen=True, slots=True)
class Total:
    """How often something was counted or measured since the tables were made, and its sum in seconds. `bound`: the
    smallest of `BOUNDS` that a duration does not exceed, or infinity."""

    name: str
    kind: str
    label: str
    bound: float
    count: int
    seconds: float


def read_totals(connection: Connection) -> list[Total]:
    """Every total, with what has not been added to it yet: both in one statement, and so in one snapshot."""
    query = f"""
        SELECT name, kind, label, bound, CAST(sum(total) AS bigint), CAST(sum(seconds) AS double precision)
        FROM (SELECT name, kind, label, bound, total, seconds FROM ours.release_totals
              UNION ALL {_summed("ours.release_measurements")}) AS every (name, kind, label, bound, total, seconds)
        GROUP BY name, kind, label, bound
        ORDER BY name, kind, label, bound
    """
    return [Total(*row) for row in connection.execute(parsed(query), _parameters())]


def fold(connection: Connection, *, limit: int) -> int:
    """Add the oldest measurements to the totals and delete them; how many there were, `limit` at most.

    Whoever folds at the same time waits until this transaction has ended.
    """
    connection.execute(parsed("LOCK TABLE ours.release_totals IN SHARE ROW EXCLUSIVE MODE"))
    statement = f"""
        WITH taken AS (
            DELETE FROM ours.release_measurements
            WHERE id IN (SELECT id FROM ours.release_measurements ORDER BY id LIMIT :limit)
            RETURNING kind, counted, seconds),
        added AS (
            INSERT INTO ours.release_totals (name, kind, label, bound, total, seconds)
            {_summed("taken")}
            ON CONFLICT (name, kind, label, bound) DO UPDATE
            SET total = release_totals.total + excluded.total, seconds = release_totals.seconds + excluded.seconds)
        SELECT count(*) FROM taken
    """
    taken: int = connection.execute(parsed(statement), {"limit": limit, **_parameters()}).scalar_one()
    return taken


def _summed(source: str) -> str:
    """SQL: what the rows of `source` add to the totals. Durations are whole microseconds: half of one less is below the
    bound that it equals."""
    return f"""
        SELECT name, CASE WHEN name = ANY (:of_errors) THEN '' WHEN kind = ANY (:kinds) THEN kind ELSE '{OTHER}' END,
               CASE WHEN name = ANY (:of_errors) AND label <> ALL (:errors) THEN '{OTHER}' ELSE label END,
               bound, count(*), sum(seconds)
        FROM (
            SELECT split_part(entry, ':', 1), kind, split_part(entry, ':', 2), CAST('Infinity' AS double precision), 0
            FROM {source}, unnest(counted) AS entry
            UNION ALL
            SELECT CASE WHEN measured = ANY (:whole) THEN measured ELSE '{STEP}' END, kind,
                   CASE WHEN measured = ANY (:whole) THEN '' ELSE measured END,
                   (CAST(:bounds AS double precision[]) || CAST('Infinity' AS double precision))
                       [1 + width_bucket(number - 0.0000005, CAST(:bounds AS numeric[]))],
                   number
            FROM {source}, jsonb_each(seconds) AS entry (measured, value),
                 LATERAL (SELECT CAST(value AS numeric) WHERE jsonb_typeof(value) = 'number') AS taken_as (number)
        ) AS single (name, kind, label, bound, seconds)
        GROUP BY 1, 2, 3, 4
    """


def _parameters() -> dict[str, Any]:
    return {
        "kinds": list(_KINDS),
        "errors": list(ERROR_NAMES),
        "of_errors": list(OF_ERRORS),
        "whole": list(WHOLE),
        "bounds": list(BOUNDS),
    }
