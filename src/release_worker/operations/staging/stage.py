"""Make a staged copy of a toolset."""

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from release_worker.domain.requests.stage import Stage, StageResult
from release_worker.domain.subject import Subject
from release_worker.operations.restoring import (
    Seen,
    fire_triggers,
    hold_live_rows,
    refuse_what_is_wrong,
    restore,
    unlike,
)
from release_worker.operations.staging.pair import OWN
from release_worker.state.registry import Registry
from release_worker.state.states import State, live_state, live_state_as
from release_worker.state.work import Work
from release_worker.store.owners.holding import hold_owners
from release_worker.store.owners.staging import find_copy, insert_copy, refuse_a_copy


def stage(work: Work, request: Stage) -> StageResult:
    """Make a toolset beside this one, and give it all that this one has of its own; or answer with the copy that is
    there. The copy has no release yet.

    Raises ToolsetNotFound, InvalidRequest for a toolset that is a copy itself, and VersionConflict.
    """
    connection = work.connection
    parent = hold_owners(connection, work.toolset_id, written=OWN)
    refuse_a_copy(connection, parent)
    copy = find_copy(connection, parent)
    if copy is not None:
        return _result(parent, copy, created=False)
    hold_live_rows(connection, work.registry, parent, written=OWN)
    copy = insert_copy(connection, parent, uuid7())
    _fill(connection, work.registry, parent, copy)
    return _result(parent, copy, created=True)


def _fill(connection: Connection, registry: Registry, parent: Subject, copy: Subject) -> None:
    """Restore the parent's live state into the copy. Raises VersionConflict if it was edited meanwhile, and
    IntegrityMismatch if the copy does not have it then."""
    own = registry.of_scope("toolset")
    before = live_state(registry, parent).digests(connection)
    wanted = live_state_as(own, parent, role="parent")
    names = [component.name for component in own]
    restore(connection, registry, State(wanted.contents, {**wanted.parameters, **copy.parameters}), names)
    fire_triggers(connection)
    after = live_state(own, copy).digests(connection)
    wrong = unlike({name: before[name] for name in names}, after)
    refuse_what_is_wrong(connection, registry, wrong, restored=names, seen=[Seen(parent, before)])


def _result(parent: Subject, copy: Subject, *, created: bool) -> StageResult:
    return StageResult(toolset_id=copy.toolset_id, path=copy.path, parent_toolset_id=parent.toolset_id, created=created)
