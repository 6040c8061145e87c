"""How a toolset is: one moment of it, read in one snapshot."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from release_worker.domain.requests.check_drift import CheckDrift
from release_worker.domain.requests.status import Status, StatusResult
from release_worker.domain.subject import Subject
from release_worker.queries.check_drift import check_drift
from release_worker.queries.log import LogEntry, LogFilter, toolset_log
from release_worker.state.work import Work
from release_worker.store.freezes import freeze_at
from release_worker.store.marks import mark_of
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.relations import OWNED
from release_worker.store.releases import current_release
from release_worker.store.statements import parsed

_LAST, _UNFINISHED = 5, 50


def status(work: Work, request: Status) -> StatusResult:
    """The current release, drift from it, what is queued and running, and the last operations that changed anything or
    failed to. Reads only. Raises ToolsetNotFound."""
    connection = work.connection
    subject = toolset_of_id(connection, work.toolset_id)
    drift = check_drift(work, CheckDrift(toolset=str(work.toolset_id)))
    about = _about(connection, work)
    freeze = freeze_at(connection, organization_id=subject.organization_id, project_id=subject.project_id)
    waiting = LogFilter(statuses=("queued", "running"))
    unfinished = toolset_log(connection, subject.toolset_id, limit=_UNFINISHED, chosen=waiting)
    ended = LogFilter(statuses=("succeeded", "failed"), writing=True)
    return StatusResult(
        toolset_id=subject.toolset_id,
        path=subject.path,
        mode=about["mode"],
        current_release_number=drift.current_release_number,
        current=_current(connection, subject),
        last_good=about["last_good"],
        releases=about["releases"],
        drifted=drift.drifted,
        changes=drift.changes,
        requests={state: about[state] for state in ("queued", "running")},
        unfinished=_told(one for one in unfinished if one.request_id != work.request_id),
        operations=_told(toolset_log(connection, subject.toolset_id, limit=_LAST, chosen=ended)),
        freeze=None if freeze is None else dict(freeze.refusal.details),
    )


def _about(connection: Connection, work: Work) -> dict[str, Any]:
    """Of the toolset: its mode, how many releases it has, the newest good one, and how many requests wait for it or
    run, this one left out."""
    query = f"""
        SELECT t.editing_mode AS mode,
               (SELECT count(*) FROM ours.toolset_releases r WHERE r.toolset_id = t.id) AS releases,
               (SELECT max(r.release_number) FROM ours.toolset_releases r
                WHERE r.toolset_id = t.id AND {mark_of("r.id")} = 'good') AS last_good,
               coalesce(unfinished.queued, 0) AS queued, coalesce(unfinished.running, 0) AS running
        FROM {OWNED}
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE status = 'queued') AS queued,
                   count(*) FILTER (WHERE status = 'running') AS running
            FROM ours.release_requests
            WHERE toolset_id = t.id AND status IN ('queued', 'running') AND id IS DISTINCT FROM :request_id
        ) AS unfinished
        WHERE t.id = :toolset_id
    """
    parameters = {"toolset_id": work.toolset_id, "request_id": work.request_id}
    return dict(connection.execute(parsed(query), parameters).one()._mapping)


def _current(connection: Connection, subject: Subject) -> dict[str, Any] | None:
    release = current_release(connection, subject)
    if release is None:
        return None
    query = f"SELECT {mark_of('CAST(:id AS uuid)')}"
    return {
        "release_number": release.release_number,
        "kind": release.kind,
        "at": _instant(release.created_at),
        "actor": release.released_by,
        "notes": release.notes,
        "labels": release.labels,
        "mark": connection.execute(parsed(query), {"id": release.id}).scalar(),
        "pinned": release.labels.get("pinned") is True,
    }


def _told(entries: Iterable[LogEntry]) -> tuple[dict[str, Any], ...]:
    """As the log shows them, times as text."""
    fields = ("actor", "operation", "request_id", "status", "details", "error")
    return tuple({"at": _instant(one.at), **{name: getattr(one, name) for name in fields}} for one in entries)


def _instant(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
