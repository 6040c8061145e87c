"""A release at once: one statement takes a request from `queued` to `succeeded`, with its effect.

It is the common case of the careful way (claim, hold, capture, succeed), and does nothing where anything is otherwise:
then the careful way begins, as if this had not been tried. Nothing is waited for but what foreign keys ask for.

Its transaction must be READ COMMITTED: the statement's snapshot is then taken when it has its locks of tables, and not
before somebody has rewritten one of them. Of a row that it locks, PostgreSQL gives it the newest version, which may be
newer than the snapshot; then it does nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.domain.limits import DEFAULTS
from release_worker.domain.requests.create_release import CreateRelease
from release_worker.domain.timings import ATTEMPT, LOCK_HOLD, LOCK_WAIT
from release_worker.errors import LockUnavailable
from release_worker.store.capturing import Contents, capture_steps
from release_worker.store.freezes import FREEZE_IN_FORCE
from release_worker.store.owners.relations import LIVE, TOOLSET
from release_worker.store.requests import FIRST_OF_MAILBOX
from release_worker.store.statements import parsed

# What the steps of a capture take as parameters they are given once the statement has found it, and holds it.
_FOUND = {
    "toolset_id": "subject.toolset_id",
    "project_id": "subject.project_id",
    "organization_id": "subject.organization_id",
    "predecessor_id": "subject.current_release_id",
}
_PLACE = re.compile(rf"(?<!:):({'|'.join(_FOUND)})\b")

# The request, if nobody has tried it, it is the first of its mailbox, and nobody is at work there. It was published by
# its sender alone: what a sweeper published again may have killed a worker.
_ASKED = f"""
    asked AS MATERIALIZED (
        SELECT own.id FROM ours.release_requests AS own
        WHERE own.id = :request_id AND own.id = {FIRST_OF_MAILBOX} AND own.kind = :request_kind
          AND own.payload = CAST(:payload AS jsonb)
          AND own.status = 'queued' AND own.attempts = 0 AND own.next_attempt_at IS NULL AND own.published_at IS NULL
          AND NOT EXISTS (
              SELECT FROM ours.release_requests WHERE toolset_id = :toolset_id AND status = 'running')
        FOR UPDATE SKIP LOCKED)
"""
# The toolset, if nobody holds it or has written it since the snapshot was taken, and its current release says that a
# capture is a matter of milliseconds.
_SUBJECT = f"""
    subject AS MATERIALIZED (
        SELECT t.id AS toolset_id, t.project_id, t.organization_id, t.current_release_id
        FROM asked CROSS JOIN {TOOLSET.table} AS t
        JOIN {TOOLSET.table} AS seen ON seen.id = t.id AND seen.xmin = t.xmin
        JOIN ours.toolset_releases AS r ON r.id = t.current_release_id
        JOIN ours.toolset_versions AS v ON v.id = r.toolset_version_id
        JOIN ours.source_states AS s ON s.id = r.source_state_id
        WHERE t.id = :toolset_id AND {LIVE}
          AND cardinality(v.tool_urns) + cardinality(v.resource_urns) <= {DEFAULTS.at_once_entries}
          AND pg_column_size(s.deployment_snapshot) + pg_column_size(s.system_snapshot) <= {DEFAULTS.at_once_bytes}
        FOR NO KEY UPDATE OF t SKIP LOCKED)
"""
_SECONDS = "round(greatest(0, extract(epoch FROM clock_timestamp() - statement_timestamp())), 6)"
_SUCCEEDED = f"""
    succeeded AS (
        UPDATE ours.release_requests AS request
        SET status = 'succeeded', attempts = 1, worker = :worker, started_at = statement_timestamp(),
            finished_at = clock_timestamp(),
            result = jsonb_build_object(
                'release_id', release.id, 'release_number', release.release_number, 'toolset_id', release.toolset_id,
                'toolset_version', toolset_version.version, 'digest', release.digest, 'created', true),
            timings = CAST(:timings AS jsonb) || jsonb_build_object(
                'capture', {_SECONDS}, '{LOCK_HOLD}', {_SECONDS}, '{ATTEMPT}', {_SECONDS})
        FROM release, toolset_version, asked
        WHERE request.id = asked.id
        RETURNING request.result)
"""


def at_once_statement(contents: Contents) -> str:
    """SQL: the whole of it; a row if the release was written. `contents` are SQL expressions by component name, of
    built-in components: what others read is not known to be small."""
    steps = capture_steps(contents, (), only_if=f"EXISTS (SELECT FROM subject) AND {FREEZE_IN_FORCE} IS NULL")
    found = (_PLACE.sub(lambda place: f"(SELECT {_FOUND[place[1]]} FROM subject)", step) for step in steps)
    return f"""
        WITH {", ".join((_ASKED, _SUBJECT, *found, _SUCCEEDED))}
        SELECT release.id, succeeded.result FROM release LEFT JOIN succeeded ON true
    """


@dataclass(frozen=True, slots=True)
class Trial:
    """Which request is tried at once, in which toolset's mailbox, and what its row is to ask for. `worker`: who tries;
    `lock_wait`: seconds for which the toolset's lock was waited for."""

    request_id: str
    toolset_id: UUID
    request: CreateRelease
    worker: str
    lock_wait: float = 0.0


def write_release_at_once(connection: Connection, statement: str, trial: Trial) -> Mapping[str, Any] | None:
    """Carry the request out and mark it done; its result, as it is stored. None, and nothing is written, if that is for
    the careful way.

    `statement` is an `at_once_statement`, and the transaction READ COMMITTED. Raises VersionConflict if something that
    is needed has changed since, and LockUnavailable if the request has.
    """
    request = trial.request
    parameters = {
        "request_id": trial.request_id,
        "toolset_id": trial.toolset_id,
        "request_kind": request.kind,
        "payload": canonical_json.dumps(request.payload()),
        "kind": "release",
        "notes": request.notes,
        "labels": canonical_json.dumps(request.labels or {}),
        "released_by": request.actor,
        "make_current": True,
        "unless": None,
        "worker": trial.worker,
        "timings": canonical_json.dumps({LOCK_WAIT: round(trial.lock_wait, 6)}),
    }
    row = connection.execute(parsed(statement), parameters).one_or_none()
    if row is None:
        return None
    if row.result is None:
        raise LockUnavailable(f"request {trial.request_id} was changed meanwhile", request_id=trial.request_id)
    result: Mapping[str, Any] = row.result
    return result
