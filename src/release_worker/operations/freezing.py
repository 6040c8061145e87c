"""Freeze a project or an organization for a time, take that back, and look what is frozen."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.freeze import Freeze, NewFreeze
from release_worker.domain.owner_name import OwnerName
from release_worker.errors import FreezeNotFound, InvalidRequest
from release_worker.store.freezes import delete_freeze, insert_freeze, list_freezes
from release_worker.store.owners.listing import find_owner_ids


def add_freeze(connection: Connection, asked: NewFreeze, *, now: datetime) -> Freeze:
    """Write a freeze down. Whatever decides after the commit heeds it. Raises OwnerNotFound, and InvalidRequest for a
    window that is over."""
    if asked.ends_at <= now:
        problem = f"is over already: it is {now.isoformat(timespec='seconds')}"
        raise InvalidRequest(f"ends_at: {problem}", problems=[{"field": "ends_at", "problem": problem}])
    organization_id, project_id = find_owner_ids(connection, asked)
    window = {
        "organization_id": organization_id,
        "project_id": project_id,
        "starts_at": asked.starts_at,
        "ends_at": asked.ends_at,
        "reason": asked.reason,
        "created_by": asked.actor,
    }
    return insert_freeze(connection, window)


def freezes(connection: Connection, owner: OwnerName | None = None, *, past: bool = False) -> Sequence[Freeze]:
    """All freezes, those of an organization and its projects, or those that hold for a project, in the order in which
    they start; those that are over only if `past`. Raises OwnerNotFound."""
    organization_id, project_id = (None, None) if owner is None else find_owner_ids(connection, owner)
    return list_freezes(connection, organization_id=organization_id, project_id=project_id, past=past)


def remove_freeze(connection: Connection, freeze_id: UUID, owner: OwnerName | None = None) -> Freeze:
    """Take a freeze back; `owner` says whose it must be. Raises FreezeNotFound and OwnerNotFound."""
    organization_id = None if owner is None else find_owner_ids(connection, owner)[0]
    removed = delete_freeze(connection, freeze_id, organization_id=organization_id)
    if removed is None:
        raise FreezeNotFound(freeze=str(freeze_id))
    return removed
