"""The record of what was rolled back, by whom and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain import canonical_json
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


def insert_rollback(connection: Connection, record: RollbackRecord) -> UUID:
    """Write the record; returns its id."""
    insert = """
        INSERT INTO toolset_rollbacks (
            toolset_id, from_release_id, to_release_id, backup_release_id, components, changes, reason,
            rolled_back_by, request_id, created_at)
        VALUES (
            :toolset_id, :from_release_id, :to_release_id, :backup_release_id, :components,
            CAST(:changes AS jsonb), :reason, :rolled_back_by, :request_id, clock_timestamp())
        RETURNING id
    """
    parameters = {
        "toolset_id": record.toolset_id,
        "from_release_id": record.from_release_id,
        "to_release_id": record.to_release_id,
        "backup_release_id": record.backup_release_id,
        "components": list(record.components),
        "changes": canonical_json.dumps(record.changes),
        "reason": record.reason,
        "rolled_back_by": record.rolled_back_by,
        "request_id": record.request_id,
    }
    return UUID(str(connection.execute(parsed(insert), parameters).scalar_one()))
