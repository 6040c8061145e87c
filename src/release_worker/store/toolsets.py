"""Finding, locking and pointing toolsets. Lock order everywhere: organization, project, toolset."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.subject import Scope, Subject
from release_worker.errors import ToolsetNotFound, VersionConflict
from release_worker.store.statements import parsed

# SQL: a toolset's path; `o`, `p` and `t` are its organization, its project and itself.
PATH = "o.slug || '/' || p.slug || '/' || t.slug AS path"
_UUID = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"


def find_toolset(connection: Connection, reference: str, *, organization: str | None = None) -> Subject:
    """The live toolset with this UUID or `organization/project/toolset`.

    Raises ToolsetNotFound, also for a toolset of another organization than `organization`, its slug or id, where given.
    """
    where, parameters = naming(reference, organization)
    query = f"""
        SELECT t.id AS toolset_id, t.project_id, t.organization_id, {PATH}
        FROM toolsets t JOIN projects p ON p.id = t.project_id JOIN organizations o ON o.id = t.organization_id
        WHERE {where}
    """
    row = connection.execute(parsed(query), parameters).one_or_none()
    if row is None:
        raise ToolsetNotFound(toolset=reference)
    return Subject(**row._mapping)


def naming(reference: str, organization: str | None) -> tuple[str, dict[str, object]]:
    """SQL: the condition that `t`, `p` and `o` are the live toolset of this name; and its parameters."""
    if reference.count("/") == 2:
        where = "t.deleted_at IS NULL AND o.slug = :organization AND p.slug = :project AND t.slug = :toolset"
        slugs = zip(("organization", "project", "toolset"), reference.split("/"), strict=True)
        parameters: dict[str, object] = dict(slugs)
    else:
        where = "t.deleted_at IS NULL AND t.id = :toolset_id"
        parameters = {"toolset_id": UUID(reference)}
    if organization is not None:
        where += f" AND o.id = {organization_named(':caller')}"
        parameters["caller"] = organization
    return where, parameters


def organization_named(text: str) -> str:
    """SQL: the id of the organization that a caller means by `text`, a SQL expression; NULL if there is none.

    Text in the form of a UUID is the organization's id and only that, all other text is its slug. A slug may have that
    form too, be it the id of another organization: whoever holds it is named by its own id.
    """
    named = f"CAST({text} AS text)"
    by_slug = f"SELECT known.id FROM organizations AS known WHERE known.slug = {named}"
    return f"""(
        SELECT named.id FROM organizations AS named
        WHERE named.id = CASE WHEN {named} ~ '{_UUID}' THEN CAST({named} AS uuid) ELSE ({by_slug}) END)"""


def lock_toolset(connection: Connection, subject: Subject) -> None:
    """Hold the toolset until the transaction ends. Others may still refer to it, but not write releases of it.

    Raises VersionConflict where another transaction wrote to it after this one's snapshot, ToolsetNotFound where it is
    gone.
    """
    lock = "SELECT id FROM toolsets WHERE id = :toolset_id AND deleted_at IS NULL FOR NO KEY UPDATE"
    if connection.execute(parsed(lock), {"toolset_id": subject.toolset_id}).one_or_none() is None:
        raise ToolsetNotFound(toolset=subject.path)


def lock_owners(connection: Connection, subject: Subject, scopes: Collection[Scope]) -> None:
    """Hold the organization and the project, where shared state of that scope is about to be written, then the toolset.

    Each row is written with what it has, not only locked: a row lock lets a transaction that waited go on with its
    older snapshot, and two restores of shared state, each planned before the other, could then leave a mixture. A write
    makes the later one fail with a conflict, and it plans anew.
    """
    if "organization" in scopes:
        touch = "UPDATE organizations SET name = name WHERE id = :organization_id"
        connection.execute(parsed(touch), subject.parameters)
    if "project" in scopes:
        touch = "UPDATE projects SET name = name WHERE id = :project_id"
        connection.execute(parsed(touch), subject.parameters)
    lock_toolset(connection, subject)


def set_current_release(connection: Connection, subject: Subject, release_id: UUID) -> None:
    """Make a release the toolset's current one."""
    point = "UPDATE toolsets SET current_release_id = :release_id WHERE id = :toolset_id"
    moved = connection.execute(parsed(point), {"release_id": release_id, "toolset_id": subject.toolset_id})
    if moved.rowcount != 1:
        raise VersionConflict(reason="the toolset was deleted meanwhile")
