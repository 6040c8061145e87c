"""Staged copies, and the editing mode of a toolset.

A copy is a live toolset whose `parent_toolset_id` is that of a toolset of the same project and organization. Which one
it is, only that says, and never a slug. An index keeps it the only one. A toolset of another project or organization
that names this one as its parent is none: nobody can have their state published, or somebody else's deleted, by that.
"""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.requests.set_mode import EditingMode
from release_worker.domain.subject import Subject
from release_worker.errors import InvalidRequest, ToolsetNotFound, VersionConflict
from release_worker.store.owners.naming import toolset_of_id
from release_worker.store.owners.relations import LIVE, OWNED, SUBJECT
from release_worker.store.statements import parsed

# SQL: the toolset `t` is the staged copy of the toolset `:toolset_id`.
COPY = f"""
    {LIVE} AND t.parent_toolset_id = :toolset_id AND t.project_id = :project_id
    AND t.organization_id = :organization_id
"""

# SQL: the toolset `t` is a staged copy, or was until its parent was deleted.
IS_COPY = """EXISTS (
    SELECT FROM ours.toolsets parent
    WHERE parent.id = t.parent_toolset_id
      AND (parent.project_id, parent.organization_id) = (t.project_id, t.organization_id))"""


def find_copy(connection: Connection, parent: Subject) -> Subject | None:
    """The toolset's staged copy, held by nobody; None if it has none."""
    query = f"SELECT {SUBJECT} FROM {OWNED} WHERE {COPY}"
    row = connection.execute(parsed(query), parent.parameters).one_or_none()
    return None if row is None else Subject(**row._mapping)


def copy_of(connection: Connection, parent: Subject) -> Subject:
    """The toolset's staged copy, held by nobody. Raises ToolsetNotFound if it has none, and InvalidRequest for a
    toolset that is a copy itself."""
    refuse_a_copy(connection, parent)
    copy = find_copy(connection, parent)
    if copy is None:
        raise ToolsetNotFound(f"toolset {parent.path} has no staged copy", toolset=parent.path)
    return copy


def refuse_a_copy(connection: Connection, subject: Subject) -> None:
    """Raises InvalidRequest for a toolset that is a copy itself, or was until its parent was deleted."""
    if is_copy(connection, subject):
        problem = f"toolset {subject.path} is a staged copy itself; name the toolset that it is a copy of"
        raise InvalidRequest(problem, problems=[{"field": "toolset", "problem": problem}])


def is_copy(connection: Connection, subject: Subject) -> bool:
    """Whether the toolset is a staged copy, or was until its parent was deleted."""
    query = f"SELECT {IS_COPY} FROM ours.toolsets t WHERE t.id = :toolset_id"
    return bool(connection.execute(parsed(query), {"toolset_id": subject.toolset_id}).scalar())


def insert_copy(connection: Connection, parent: Subject, copy_id: UUID) -> Subject:
    """A toolset of this id beside its parent, with nothing in it yet.

    Its slug ends with the random digits of its id, so that no app has reason to want it. Raises VersionConflict if one
    has it all the same, or made a copy meanwhile: the next attempt draws another id.
    """
    insert = """
        INSERT INTO ours.toolsets (id, organization_id, project_id, slug, name, parent_toolset_id)
        SELECT :copy_id, organization_id, project_id, slug || '-staging-' || right(CAST(:copy_id AS text), 12), name, id
        FROM ours.toolsets WHERE id = :toolset_id
        ON CONFLICT DO NOTHING
        RETURNING id
    """
    parameters = {"toolset_id": parent.toolset_id, "copy_id": copy_id}
    if connection.execute(parsed(insert), parameters).one_or_none() is None:
        raise VersionConflict(reason="the slug of the staged copy was taken, or another copy was made, meanwhile")
    return toolset_of_id(connection, copy_id)


def delete_copy(connection: Connection, parent: Subject, copy: Subject) -> None:
    """Delete the copy as apps do: its rows stay, and its slug is free. Both must be held. Raises VersionConflict if it
    is no copy of this parent any more."""
    delete = """
        UPDATE ours.toolsets SET deleted_at = now(), updated_at = now()
        WHERE id = :copy_id AND parent_toolset_id = :toolset_id AND deleted_at IS NULL
    """
    parameters = {"toolset_id": parent.toolset_id, "copy_id": copy.toolset_id}
    if connection.execute(parsed(delete), parameters).rowcount != 1:
        raise VersionConflict(reason="the staged copy was changed meanwhile")


def editing_mode(connection: Connection, subject: Subject) -> EditingMode:
    """How the toolset is edited."""
    query = "SELECT editing_mode FROM ours.toolsets WHERE id = :toolset_id"
    mode: EditingMode = connection.execute(parsed(query), {"toolset_id": subject.toolset_id}).scalar_one()
    return mode


def set_editing_mode(connection: Connection, subject: Subject, mode: EditingMode) -> None:
    """Say how the toolset is edited. Its row must be held."""
    update = "UPDATE ours.toolsets SET editing_mode = :mode, updated_at = now() WHERE id = :toolset_id"
    connection.execute(parsed(update), {"toolset_id": subject.toolset_id, "mode": mode})
