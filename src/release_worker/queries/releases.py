"""Looking back at a release: what it holds, what was said of it, and the rollbacks that involved it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from release_worker.domain.release import Release
from release_worker.domain.subject import Subject
from release_worker.store.statements import parsed

# SQL: rollbacks `r`, each with the numbers of the releases that it names; a condition may follow.
MENTIONS = """
    SELECT r.id, f.release_number AS from_release_number, t.release_number AS to_release_number,
           b.release_number AS backup_release_number, r.components, r.reason, r.rolled_back_by, r.request_id,
           r.created_at,
           (SELECT payload ->> 'override_freeze' FROM ours.release_requests WHERE id = r.request_id) AS override_freeze
    FROM ours.toolset_rollbacks r
    LEFT JOIN ours.toolset_releases f ON f.id = r.from_release_id
    LEFT JOIN ours.toolset_releases t ON t.id = r.to_release_id
    LEFT JOIN ours.toolset_releases b ON b.id = r.backup_release_id
"""


@dataclass(frozen=True, slots=True)
class ReleaseParts:
    """What a release holds. `deployment` and `system` count items by section, and are None if there was none or none
    was captured; a variations version is None if there were no variations; `plug_ins` are digests by component."""

    tools: tuple[str, ...]
    resources: tuple[str, ...]
    deployment_id: UUID | None
    deployment: Mapping[str, int] | None
    system: Mapping[str, int] | None
    global_variations_version: int | None
    global_variations: int
    toolset_variations_version: int | None
    toolset_variations: int
    plug_ins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RollbackMention:
    """A rollback that left, restored or backed up to a release; by release numbers. `override_freeze`: why it was done
    during a freeze, if that was said."""

    id: UUID
    from_release_number: int | None
    to_release_number: int | None
    backup_release_number: int | None
    components: tuple[str, ...]
    reason: str | None
    rolled_back_by: str
    request_id: str | None
    created_at: datetime
    override_freeze: str | None


@dataclass(frozen=True, slots=True)
class MarkMention:
    """What somebody said of a release."""

    mark: str
    reason: str | None
    marked_by: str
    request_id: str | None
    created_at: datetime


def release_number(connection: Connection, release_id: UUID | None) -> int | None:
    """The number of a release; None if it is gone, or if there is no id."""
    query = "SELECT release_number FROM ours.toolset_releases WHERE id = :id"
    found: int | None = connection.execute(parsed(query), {"id": release_id}).scalar()
    return found


def release_parts(connection: Connection, release: Release) -> ReleaseParts:
    """What the release holds: its URNs in order, and how much of the rest."""
    query = f"""
        SELECT v.tool_urns AS tools, v.resource_urns AS resources, s.deployment_id,
               {_sizes("s.deployment_snapshot", "tools", "resources", "assets")} AS deployment,
               {_sizes("s.system_snapshot", "prompts", "config")} AS system,
               g.version AS global_variations_version,
               (SELECT count(*) FROM jsonb_object_keys(g.config)) AS global_variations,
               t.version AS toolset_variations_version,
               (SELECT count(*) FROM jsonb_object_keys(t.config)) AS toolset_variations,
               (SELECT coalesce(jsonb_object_agg(c.component, p.digest), '{{}}')
                FROM ours.release_components c JOIN ours.component_states p ON p.id = c.component_state_id
                WHERE c.release_id = :release_id) AS plug_ins
        FROM ours.toolset_versions v
        LEFT JOIN ours.source_states s ON s.id = :source_state_id
        LEFT JOIN ours.variation_versions g ON g.id = :global_variations_id
        LEFT JOIN ours.variation_versions t ON t.id = :toolset_variations_id
        WHERE v.id = :toolset_version_id
    """
    parameters = {
        "release_id": release.id,
        "toolset_version_id": release.toolset_version_id,
        "source_state_id": release.source_state_id,
        "global_variations_id": release.global_variations_version_id,
        "toolset_variations_id": release.toolset_variations_version_id,
    }
    fields = dict(connection.execute(parsed(query), parameters).one()._mapping)
    return ReleaseParts(**{**fields, "tools": tuple(fields["tools"]), "resources": tuple(fields["resources"])})


def _sizes(snapshot: str, *sections: str) -> str:
    """SQL: how many members each of these objects in a snapshot has; NULL for no snapshot."""
    return f"""(
                   SELECT jsonb_object_agg(section, (SELECT count(*) FROM jsonb_object_keys({snapshot} -> section)))
                   FROM unnest(CAST('{{{",".join(sections)}}}' AS text[])) AS section
                   WHERE jsonb_typeof({snapshot}) = 'object')"""


def rollbacks_of(connection: Connection, release: Release) -> list[RollbackMention]:
    """The rollbacks that this release takes part in or came from, the newest first."""
    where = """
        WHERE r.toolset_id = :toolset_id AND (
            :release_id IN (r.from_release_id, r.to_release_id, r.backup_release_id) OR r.request_id = :request_id)
        ORDER BY r.created_at DESC
    """
    parameters = {"toolset_id": release.toolset_id, "release_id": release.id, "request_id": release.request_id}
    return [mention(row) for row in connection.execute(parsed(MENTIONS + where), parameters)]


def marks_of(connection: Connection, release: Release) -> list[MarkMention]:
    """What was said of the release, the last word first."""
    query = """
        SELECT mark, reason, marked_by, request_id, created_at FROM ours.release_marks
        WHERE release_id = :release_id ORDER BY created_at DESC, id DESC
    """
    return [MarkMention(*row) for row in connection.execute(parsed(query), {"release_id": release.id})]


def override_of(connection: Connection, release: Release) -> str | None:
    """Why the release was made although there might be a freeze, if its request said so."""
    query = "SELECT payload ->> 'override_freeze' FROM ours.release_requests WHERE id = :id"
    said: str | None = connection.execute(parsed(query), {"id": release.request_id}).scalar()
    return said


def latest_rollback(connection: Connection, subject: Subject) -> RollbackMention | None:
    """The toolset's newest rollback."""
    where = "WHERE r.toolset_id = :toolset_id ORDER BY r.created_at DESC LIMIT 1"
    row = connection.execute(parsed(MENTIONS + where), {"toolset_id": subject.toolset_id}).one_or_none()
    return None if row is None else mention(row)


def mention(row: Row[Any]) -> RollbackMention:
    """A row of `MENTIONS`."""
    return RollbackMention(**{**row._mapping, "components": tuple(row.components)})
