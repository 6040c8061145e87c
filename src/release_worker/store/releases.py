"""Release records: find them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.errors import ReleaseNotFound, VersionConflict
from release_worker.store.freezes import FREEZES_IN_FORCE, Freezes, freezes_read
from release_worker.store.marks import said_of
from release_worker.store.owners.holding import held_count, held_steps, holding_toolset
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.relations import CURRENT_RELEASE, LIVE, OWNED, POINTED_AT, SUBJECT, deployment_if_kept
from release_worker.store.statements import parsed

_SELECT = """
    SELECT r.id, r.toolset_id, r.release_number, r.kind, r.toolset_version_id, v.version AS toolset_version,
           r.source_state_id, r.global_variations_version_id, r.toolset_variations_version_id, r.digest,
           r.predecessor_id, r.notes, r.labels, r.released_by, r.request_id, r.created_at
    FROM ours.toolset_releases r JOIN ours.toolset_versions v ON v.id = r.toolset_version_id
"""


# SQL: the deployment that was active at a release if it is still there, else the one that its content was captured from
# first.
ORIGINAL_DEPLOYMENT = deployment_if_kept(
    "(SELECT deployment_id FROM ours.toolset_releases WHERE id = :target_release_id)",
    "(SELECT deployment_id FROM ours.source_states WHERE id = :target_source_state_id)",
)


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
    """The release that the toolset says is current; None if it has none."""
    where = f"WHERE r.id = {CURRENT_RELEASE}"
    row = connection.execute(parsed(_SELECT + where), {"toolset_id": subject.toolset_id}).one_or_none()
    return None if row is None else Release(**row._mapping)


def current_release_and_freezes(connection: Connection, subject: Subject) -> tuple[Release | None, Freezes]:
    """As `current_release`, with the freezes in force for the toolset, in the same round trip."""
    query = f"""
        SELECT {FREEZES_IN_FORCE} AS freezes, found.*
        FROM (VALUES (1)) AS always LEFT JOIN ({_SELECT} WHERE r.id = {CURRENT_RELEASE}) AS found ON true
    """
    freezes, *release = connection.execute(parsed(query), subject.parameters).one()
    return None if release[0] is None else Release(*release), freezes_read(freezes)


def look_for(connection: Connection, toolset_id: UUID, number: int) -> tuple[Subject, Release] | None:
    """The live toolset of this id and its release of this number, in one round trip and held by nobody; None if either
    is not there."""
    query = f"""
        SELECT {SUBJECT}, found.*
        FROM {OWNED}
        JOIN ({_SELECT} WHERE r.toolset_id = :toolset_id AND r.release_number = :number) AS found
            ON t.id = found.toolset_id
        WHERE {LIVE}
    """
    row = connection.execute(parsed(query), {"toolset_id": toolset_id, "number": number}).one_or_none()
    return None if row is None else (Subject(*row[:4]), Release(*row[4:]))


class RollbackReleases(NamedTuple):
    """Between which releases a rollback goes. `current`: None if there is none; `original_deployment`: the one that was
    active at the target, or if that is gone the one that its content was captured from first, which may be gone too.
    `said`: what people said last of the target, `{mark, reason, marked_by}`. `freezes`: those in force."""

    current: Release | None
    target: Release
    original_deployment: UUID | None
    said: Mapping[str, Any] | None = None
    freezes: Freezes = Freezes()


def releases_of_rollback(
    connection: Connection, subject: Subject, number: int, *, holding: Sequence[str] = ()
) -> RollbackReleases:
    """The toolset's current release and that of this number. Holds what the queries `holding` find as `hold_rows` does,
    in the same round trip; the toolset's own row, which keeps its releases, must be held before.

    Raises ReleaseNotFound, and VersionConflict if a row is not free.
    """
    where = f"""
        WHERE r.toolset_id = :toolset_id AND (r.release_number = :number OR r.id = {CURRENT_RELEASE})
    """
    held = "WITH " + ", ".join(held_steps(holding)) if holding else ""
    more = f"""
        r.created_at, r.id = {CURRENT_RELEASE} AS current, found.original, {said_of("r.id")} AS said,
        {FREEZES_IN_FORCE} AS freezes, {held_count(holding)} AS held
    """
    original = f"""
        LEFT JOIN ours.source_states s ON s.id = r.source_state_id
        CROSS JOIN LATERAL (
            SELECT {deployment_if_kept("r.deployment_id", "s.deployment_id")} AS original) AS found
    """
    query = held + _SELECT.replace("r.created_at", more) + original + where
    current, numbered = None, None
    for *fields, is_current, deployment, said, freezes, _held in connection.execute(
        parsed(query), {**subject.parameters, "number": number}
    ):
        release = Release(*fields)
        current = release if is_current else current
        numbered = (release, deployment, said, freezes_read(freezes)) if release.release_number == number else numbered
    if numbered is None:
        raise ReleaseNotFound(toolset=subject.path, release_number=number)
    return RollbackReleases(current, *numbered)


def hold_for_release(connection: Connection, toolset_id: UUID) -> tuple[Subject, Release | None]:
    """As `hold_toolset`, with the same errors, and read the toolset's current release in the same round trip."""
    columns = f""", {POINTED_AT} AS current_release_id, r.id AS release_id,
               r.release_number, r.kind, r.toolset_version_id, v.version AS toolset_version, r.source_state_id,
               r.global_variations_version_id, r.toolset_variations_version_id, r.digest, r.predecessor_id, r.notes,
               r.labels, r.released_by, r.request_id, r.created_at"""
    current = f"""
        LEFT JOIN ours.toolset_releases r ON r.id = {POINTED_AT}
        LEFT JOIN ours.toolset_versions v ON v.id = r.toolset_version_id
    """
    query = holding_toolset(columns=columns, joined=current)
    row = connection.execute(parsed(query), {"toolset_id": toolset_id}).one_or_none()
    if row is None:
        toolset_of_id(connection, toolset_id)
        raise VersionConflict(reason="the toolset was moved meanwhile")
    subject = Subject(toolset_id=row[0], project_id=row[1], organization_id=row[2], path=row[3])
    if row.release_id != row.current_release_id:
        # The row was waited for and has changed meanwhile; what it is joined with is from before the wait.
        return subject, current_release(connection, subject)
    if row.release_id is None:
        return subject, None
    return subject, Release(row.release_id, row[0], *row[6:])
