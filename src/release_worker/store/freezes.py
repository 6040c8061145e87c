"""Freezes: written down, taken back, listed, and the one in force.

An operation asks for the freeze in force in a statement that it sends in any case, with what it decides from already
held: whoever committed a freeze before that statement began is heard. What counts is PostgreSQL's clock.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.freeze import Freeze
from release_worker.domain.schedules.schedule import Schedule
from release_worker.domain.subject import Scope
from release_worker.store.owners.relations import path_of_owner
from release_worker.store.owners.scopes import LIVING
from release_worker.store.statements import parsed

_COLUMNS = f"""
    f.id, f.organization_id, f.project_id, {path_of_owner("f.organization_id", "f.project_id")} AS scope,
    f.starts_at, f.ends_at, f.reason, f.created_by, f.created_at
"""


_OF_PROJECT = "(f.project_id IS NULL OR f.project_id = CAST(:project_id AS uuid))"


def _in_force(at: str, whose: str = _OF_PROJECT) -> str:
    """SQL: a query of the columns of a Freeze, one row or none."""
    return f"""
        SELECT {_COLUMNS} FROM ours.release_freezes f
        WHERE f.organization_id = :organization_id AND {whose}
          AND f.starts_at <= {at} AND {at} < f.ends_at
        ORDER BY f.ends_at DESC, f.id LIMIT 1"""


def _as_json(query: str) -> str:
    return f"""(
    SELECT to_jsonb(found) || jsonb_build_object(
        'starts_at', found.starts_at AT TIME ZONE 'UTC', 'ends_at', found.ends_at AT TIME ZONE 'UTC',
        'created_at', found.created_at AT TIME ZONE 'UTC')
    FROM ({query}) AS found)"""


# SQL: the freeze in force for `:project_id` of `:organization_id` when the statement begins, as `freeze_read` takes it;
# NULL if there is none.
FREEZE_IN_FORCE = _as_json(_in_force("statement_timestamp()"))
# SQL: the same, and that of whichever project of the organization, as `freezes_read` takes them.
FREEZES_IN_FORCE = f"""jsonb_build_array(
    {FREEZE_IN_FORCE}, {_as_json(_in_force("statement_timestamp()", whose="true"))})"""


@dataclass(frozen=True, slots=True)
class Freezes:
    """What is in force for a toolset: of its own project or organization, and of `any_project` of its organization,
    whose toolsets are changed, too, by what changes the organization's own state."""

    own: Freeze | None = None
    any_project: Freeze | None = None

    def of_change(self, scopes: Collection[Scope]) -> Freeze | None:
        """The freeze that holds off a change of state of these scopes."""
        return self.own or (self.any_project if "organization" in scopes else None)


def freeze_read(found: Mapping[str, Any] | None) -> Freeze | None:
    """What `FREEZE_IN_FORCE` gave."""
    return None if found is None else Freeze.from_json(found)


def freezes_read(found: Sequence[Mapping[str, Any] | None]) -> Freezes:
    """What `FREEZES_IN_FORCE` gave."""
    return Freezes(*(freeze_read(one) for one in found))


def freezes_now(connection: Connection, *, organization_id: UUID, project_id: UUID | None) -> Freezes:
    """Those in force when the statement begins; without a project, `own` are those of the whole organization."""
    parameters = {"organization_id": organization_id, "project_id": project_id}
    return freezes_read(connection.execute(parsed(f"SELECT {FREEZES_IN_FORCE}"), parameters).scalar_one())


def freeze_at(
    connection: Connection, *, organization_id: UUID, project_id: UUID | None, at: datetime | None = None
) -> Freeze | None:
    """The freeze in force for a project at a moment, by default when the statement begins; of several, the one that
    ends last. Without a project, only those of the whole organization count. None if there is none."""
    query = _in_force("coalesce(CAST(:at AS timestamptz), statement_timestamp())")
    parameters = {"organization_id": organization_id, "project_id": project_id, "at": at}
    row = connection.execute(parsed(query), parameters).one_or_none()
    return None if row is None else Freeze(**row._mapping)


def frozen_projects(connection: Connection, schedule: Schedule, *, at: datetime) -> Mapping[UUID, datetime]:
    """The projects of a schedule's toolsets that are frozen at a moment, each with the moment at which the last of its
    freezes ends."""
    query = f"""
        SELECT place.project_id, max(f.ends_at) AS until
        FROM (SELECT DISTINCT living.project_id FROM ({LIVING}) AS living) AS place
        JOIN ours.release_freezes f ON f.organization_id = :organization_id
            AND (f.project_id IS NULL OR f.project_id = place.project_id)
        WHERE f.starts_at <= :at AND :at < f.ends_at
        GROUP BY place.project_id
    """
    rows = connection.execute(parsed(query), {**schedule.parameters, "at": at})
    return {row.project_id: row.until for row in rows}


def insert_freeze(connection: Connection, window: Mapping[str, Any]) -> Freeze:
    """Write a freeze down; `window` has the columns that it is given."""
    insert = f"""
        WITH f AS (
            INSERT INTO ours.release_freezes (organization_id, project_id, starts_at, ends_at, reason, created_by)
            VALUES (:organization_id, :project_id, :starts_at, :ends_at, :reason, :created_by)
            RETURNING *)
        SELECT {_COLUMNS} FROM f
    """
    return Freeze(**connection.execute(parsed(insert), window).one()._mapping)


def list_freezes(
    connection: Connection, *, organization_id: UUID | None, project_id: UUID | None, past: bool
) -> Sequence[Freeze]:
    """In the order in which they start: all of an organization, or those that hold for a project, or all there are;
    those that are over only if `past`."""
    query = f"""
        SELECT {_COLUMNS} FROM ours.release_freezes f
        WHERE (CAST(:organization_id AS uuid) IS NULL OR f.organization_id = :organization_id)
          AND (CAST(:project_id AS uuid) IS NULL OR f.project_id IS NULL OR f.project_id = :project_id)
          AND (:past OR f.ends_at > statement_timestamp())
        ORDER BY f.starts_at, f.id
    """
    parameters = {"organization_id": organization_id, "project_id": project_id, "past": past}
    return [Freeze(**row._mapping) for row in connection.execute(parsed(query), parameters)]


def delete_freeze(connection: Connection, freeze_id: UUID, *, organization_id: UUID | None) -> Freeze | None:
    """Take a freeze back, of this organization if one is given. None if there is no such freeze."""
    delete = f"""
        WITH f AS (
            DELETE FROM ours.release_freezes
            WHERE id = :id AND (CAST(:organization_id AS uuid) IS NULL OR organization_id = :organization_id)
            RETURNING *)
        SELECT {_COLUMNS} FROM f
    """
    row = connection.execute(parsed(delete), {"id": freeze_id, "organization_id": organization_id}).one_or_none()
    return None if row is None else Freeze(**row._mapping)
