"""Release records: find them, number them, write them, look back at them."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from release_worker.domain import canonical_json
from release_worker.domain.release import Release, ReleaseKind
from release_worker.domain.subject import Subject
from release_worker.errors import ReleaseNotFound, ToolsetNotFound
from release_worker.store.contents import Parts
from release_worker.store.toolsets import PATH, naming

_SELECT = """
    SELECT r.id, r.toolset_id, r.release_number, r.kind, r.toolset_version_id, v.version AS toolset_version,
           r.source_state_id, r.global_variations_version_id, r.toolset_variations_version_id, r.digest,
           r.predecessor_id, r.notes, r.labels, r.released_by, r.request_id, r.created_at
    FROM toolset_releases r JOIN toolset_versions v ON v.id = r.toolset_version_id
"""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who made a release, for what, and what they said about it."""

    released_by: str
    request_id: str | None = None
    notes: str | None = None
    labels: dict[str, Any] | None = None


def find_release(connection: Connection, subject: Subject, number: int) -> Release:
    """The toolset's release of this number. Raises ReleaseNotFound."""
    where = "WHERE r.toolset_id = :toolset_id AND r.release_number = :number"
    row = connection.execute(text(_SELECT + where), {"toolset_id": subject.toolset_id, "number": number}).one_or_none()
    if row is None:
        raise ReleaseNotFound(toolset=subject.path, release_number=number)
    return Release(**row._mapping)


def current_release(connection: Connection, subject: Subject) -> Release | None:
    """The release that the toolset says is current; None where it has none."""
    where = "WHERE r.id = (SELECT current_release_id FROM toolsets WHERE id = :toolset_id)"
    row = connection.execute(text(_SELECT + where), {"toolset_id": subject.toolset_id}).one_or_none()
    return None if row is None else Release(**row._mapping)


def hold_for_release(
    connection: Connection, reference: str, *, organization: str | None = None
) -> tuple[Subject, Release | None]:
    """Find the toolset, hold it until the transaction ends, and read its current release, in one round trip.

    Raises as `find_toolset` and `lock_toolset` do.
    """
    where, parameters = naming(reference, organization)
    query = f"""
        SELECT t.id, t.project_id, t.organization_id, {PATH}, r.id AS release_id, r.release_number, r.kind,
               r.toolset_version_id, v.version AS toolset_version, r.source_state_id, r.global_variations_version_id,
               r.toolset_variations_version_id, r.digest, r.predecessor_id, r.notes, r.labels, r.released_by,
               r.request_id, r.created_at
        FROM toolsets t JOIN projects p ON p.id = t.project_id JOIN organizations o ON o.id = t.organization_id
        LEFT JOIN toolset_releases r ON r.id = t.current_release_id
        LEFT JOIN toolset_versions v ON v.id = r.toolset_version_id
        WHERE {where}
        FOR NO KEY UPDATE OF t
    """
    row = connection.execute(text(query), parameters).one_or_none()
    if row is None:
        raise ToolsetNotFound(toolset=reference)
    subject = Subject(toolset_id=row[0], project_id=row[1], organization_id=row[2], path=row[3])
    if row.release_id is None:
        return subject, None
    return subject, Release(row.release_id, row[0], *row[5:])


def original_deployment(connection: Connection, release: Release) -> UUID | None:
    """The deployment that was active at the release; where it is gone, the one with the same content that was captured
    first. That may be gone too."""
    query = """
        SELECT coalesce(
            (SELECT deployments.id FROM deployments JOIN toolset_releases r ON r.deployment_id = deployments.id
             WHERE r.id = :id),
            (SELECT deployment_id FROM source_states WHERE id = :source_state_id))
    """
    parameters = {"id": release.id, "source_state_id": release.source_state_id}
    found: UUID | None = connection.execute(text(query), parameters).scalar()
    return found


def insert_release(
    connection: Connection,
    subject: Subject,
    *,
    kind: ReleaseKind,
    parts: Parts,
    digest: str,
    predecessor_id: UUID | None,
    stamp: Stamp,
    make_current: bool,
) -> Release:
    """Write the toolset's next release, and make it the current one where that is wanted.

    Numbers start at 1 and have no gaps: the toolset is locked, and the number is unique, so that of two transactions
    that chose the same one the later gets a VersionConflict.
    """
    insert = """
        WITH written AS (
            INSERT INTO toolset_releases (
                toolset_id, release_number, kind, toolset_version_id, source_state_id, global_variations_version_id,
                toolset_variations_version_id, digest, predecessor_id, notes, labels, released_by, request_id,
                deployment_id)
            SELECT CAST(:toolset_id AS uuid), coalesce(max(release_number), 0) + 1, :kind,
                   CAST(:toolset_version AS uuid), CAST(:source_state AS uuid), CAST(:global_variations AS uuid),
                   CAST(:toolset_variations AS uuid), :digest, CAST(:predecessor_id AS uuid), :notes,
                   CAST(:labels AS jsonb), :released_by, :request_id,
                   (SELECT active_deployment_id FROM projects WHERE id = :project_id)
            FROM toolset_releases WHERE toolset_id = :toolset_id
            RETURNING id, release_number, created_at),
        pointed AS (
            UPDATE toolsets SET current_release_id = written.id FROM written
            WHERE toolsets.id = :toolset_id AND :make_current)
        SELECT id, release_number, created_at FROM written
    """
    written = connection.execute(
        text(insert),
        {
            "toolset_id": subject.toolset_id,
            "project_id": subject.project_id,
            "kind": kind,
            "toolset_version": parts.toolset_version.id,
            "source_state": parts.source_state_id,
            "global_variations": parts.global_variations_id,
            "toolset_variations": parts.toolset_variations_id,
            "digest": digest,
            "predecessor_id": predecessor_id,
            "notes": stamp.notes,
            "labels": canonical_json.dumps(stamp.labels or {}),
            "released_by": stamp.released_by,
            "request_id": stamp.request_id,
            "make_current": make_current,
        },
    ).one()
    return Release(
        id=written.id,
        toolset_id=subject.toolset_id,
        release_number=written.release_number,
        kind=kind,
        toolset_version_id=parts.toolset_version.id,
        toolset_version=parts.toolset_version.version,
        source_state_id=parts.source_state_id,
        global_variations_version_id=parts.global_variations_id,
        toolset_variations_version_id=parts.toolset_variations_id,
        digest=digest,
        predecessor_id=predecessor_id,
        notes=stamp.notes,
        labels=stamp.labels or {},
        released_by=stamp.released_by,
        request_id=stamp.request_id,
        created_at=written.created_at,
    )
