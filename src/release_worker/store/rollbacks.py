"""The record of what was rolled back, by whom and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
from release_worker.errors import VersionConflict
from release_worker.store.owners.pointing import POINT_AT_RELEASE
from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class RollbackRecord:
    """One row of `toolset_rollbacks`, before it is written."""

    toolset_id: UUID
    from_release_id: UUID | None
    to_release_id: UUID
    backup_release_id: UUID | None
    components: Sequence[str]
    changes: Mapping[str, Any]
    reason: str | None
    rolled_back_by: str
    request_id: str | None


def record_rollback(connection: Connection, record: RollbackRecord) -> UUID:
    """Write the record, and make its target the toolset's current release, in one round trip. Returns the record's id.
    Raises VersionConflict if the toolset is gone."""
    insert = f"""
        WITH pointed AS ({POINT_AT_RELEASE} RETURNING id)
        INSERT INTO ours.toolset_rollbacks (
            toolset_id, from_release_id, to_release_id, backup_release_id, components, changes, reason,
            rolled_back_by, request_id, created_at)
        SELECT id, CAST(:from_release_id AS uuid), :release_id, CAST(:backup_release_id AS uuid), :components,
               CAST(:changes AS jsonb), :reason, :rolled_back_by, :request_id, clock_timestamp()
        FROM pointed
        RETURNING id
    """
    parameters = {
        "toolset_id": record.toolset_id,
        "from_release_id": record.from_release_id,
        "release_id": record.to_release_id,
        "backup_release_id": record.backup_release_id,
        "components": list(record.components),
        "changes": canonical_json.dumps(record.changes),
        "reason": record.reason,
        "rolled_back_by": record.rolled_back_by,
        "request_id": record.request_id,
    }
    rollback_id = connection.execute(parsed(insert), parameters).scalar()
    if rollback_id is None:
        raise VersionConflict(reason="the toolset was deleted meanwhile")
    return UUID(str(rollback_id))
