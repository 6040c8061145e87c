"""A toolset and its staged copy."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.subject import Scope, Subject
from release_worker.errors import ToolsetNotFound, VersionConflict
from release_worker.state.component import Component
from release_worker.state.registry import Components
from release_worker.store.owners.holding import hold_owners
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.staging import find_copy, refuse_a_copy

OWN: frozenset[Scope] = frozenset(("toolset",))


def staged(components: Components) -> list[Component]:
    """What a copy has of its own; the rest it shares with its parent."""
    return [component for component in components if component.scope in OWN]


def find_pair(connection: Connection, toolset_id: UUID) -> tuple[Subject, Subject]:
    """A toolset and its copy, held by nobody. Raises ToolsetNotFound if either is not there, and InvalidRequest for a
    toolset that is a copy itself."""
    parent = toolset_of_id(connection, toolset_id)
    refuse_a_copy(connection, parent)
    copy = find_copy(connection, parent)
    if copy is None:
        raise ToolsetNotFound(f"toolset {parent.path} has no staged copy", toolset=parent.path)
    return parent, copy


def hold_pair(connection: Connection, toolset_id: UUID) -> tuple[Subject, Subject]:
    """Hold a toolset and its copy, in the order of their ids, and share their owners. Raises what `find_pair` raises,
    and VersionConflict if a row is not free or something else is the copy now."""
    pair = find_pair(connection, toolset_id)
    first, second = sorted(one.toolset_id for one in pair)
    hold_owners(connection, first, written=OWN)
    hold_owners(connection, second, written=OWN, wait=False)
    if find_pair(connection, toolset_id) != pair:
        raise VersionConflict(reason="the staged copy was changed meanwhile")
    return pair
