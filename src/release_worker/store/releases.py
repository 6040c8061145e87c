"""Release records: find them."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.errors import ReleaseNotFound, ToolsetNotFound
from release_worker.store.statements import parsed
from release_worker.store.toolsets import PATH, naming

_SELECT = """
    SELECT r.id, r.toolset_id, r.release_number, r.kind, r.toolset_version_id, v.version AS toolset_version,
           r.source_state_id, r.global_variations_version_id, r.toolset_variations_version_id, r.digest,
           r.predecessor_id, r.notes, r.labels, r.released_by, r.request_id, r.created_at
    FROM toolset_releases r JOIN toolset_versions v ON v.id = r.toolset_version_id
"""


def find_release(connection: Connection, subject: Subject, number: int) -> Release:
    """The toolset's release of this number. Raises ReleaseNotFound."""
    where = "WHERE r.toolset_id = :toolset_id AND r.release_number = :number"
    row = connection.execute(
        parsed(_SELECT + where), {"toolset_id": subject.toolset_id, "number": number}
    ).one_or_none()
    if row is None:
        raise ReleaseNotFound(toolset=subject.path, release_number=number)
    return Release(**row._mapping)


def current_release(connection: Connection, subject: Subject) -> Release | None:
    """The release that the toolset says is current; None where it has none."""
    where = "WHERE r.id = (SELECT current_release_id FROM toolsets WHERE id = :toolset_id)"
    row = connection.execute(parsed(_SELECT + where), {"toolset_id": subject.toolset_id}).one_or_none()
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
    row = connection.execute(parsed(query), parameters).one_or_none()
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
    found: UUID | None = connection.execute(parsed(query), parameters).scalar()
    return found
