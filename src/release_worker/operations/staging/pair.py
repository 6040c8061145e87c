"""Holding a toolset and its staged copy."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.subject import Scope, Subject
from release_worker.errors import ToolsetNotFound, VersionConflict
from release_worker.store.owners.holding import hold_owners
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.staging import copy_of

_CHANGED = "the staged copy was changed meanwhile"
OWN: frozenset[Scope] = frozenset(("toolset",))


def hold_pair(connection: Connection, toolset_id: UUID) -> tuple[Subject, Subject]:
    """Hold a toolset and its copy, in the order of their ids, and share their owners. Raises what `copy_of` raises, and
    VersionConflict if a row is not free or something else is the copy now."""
    parent = toolset_of_id(connection, toolset_id)
    copy = copy_of(connection, parent)
    first, second = sorted((parent.toolset_id, copy.toolset_id))
    try:
        hold_owners(connection, first, written=OWN)
        hold_owners(connection, second, written=OWN, wait=False)
    except ToolsetNotFound:
        copy_of(connection, toolset_of_id(connection, toolset_id))  # says which of the two is gone
        raise VersionConflict(reason=_CHANGED) from None
    held = toolset_of_id(connection, toolset_id)
    if (held, copy_of(connection, held)) != (parent, copy):
        raise VersionConflict(reason=_CHANGED)
    return parent, copy
