"""Finding, holding and pointing toolsets and their owners."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from release_worker.domain.subject import Scope, Subject
from release_worker.errors import ToolsetNotFound, VersionConflict
from release_worker.store.conflicts import translated
from release_worker.store.statements import parsed

# SQL: a toolset's path; `o`, `p` and `t` are its organization, its project and itself.
TRIES = 5  # to find a toolset by a name that changes hands meanwhile
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


def toolset_of_id(connection: Connection, toolset_id: UUID) -> Subject:
    """The live toolset of this id, held by nobody. Raises ToolsetNotFound."""
    return find_toolset(connection, str(toolset_id))


def naming(reference: str, organization: str | None) -> tuple[str, dict[str, object]]:
    """SQL: the condition that `t`, `p` and `o` are the live toolset of this name; and its parameters."""
    if reference.count("/") == 2:
        # The project's organization, too: only so does a path mean one toolset, whatever a toolset's own column says.
        where = """
            t.deleted_at IS NULL AND o.slug = :organization AND p.organization_id = o.id AND p.slug = :project
            AND t.slug = :toolset
        """
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


def hold_owners(connection: Connection, toolset_id: UUID, *, written: Collection[Scope]) -> Subject:
    """Hold the rows of the toolset and of its owners until the transaction ends: what is read afterwards stays so.

    Those of the scopes in `written` are held alone, and nothing can be added below them. The others are shared with
    whoever only reads them too, and refused to those who write: operations on other toolsets go on beside this one.
    If the project is written, its active deployment is held as well.

    Only the toolset's row is waited for, and nothing is held meanwhile. Every other one must be free: an app that waits
    for what this transaction holds would otherwise be the victim of a deadlock, whatever the order of its locks.
    Raises VersionConflict if a row is not free, ToolsetNotFound if the toolset is gone.
    """
    query = f"""
        SELECT t.id AS toolset_id, t.project_id, t.organization_id, {PATH}
        FROM toolsets t JOIN projects p ON p.id = t.project_id JOIN organizations o ON o.id = t.organization_id
        WHERE t.id = :toolset_id AND t.deleted_at IS NULL
        FOR UPDATE OF t
        {_strength("project", written)} OF p NOWAIT
        {_strength("organization", written)} OF o NOWAIT
    """
    row = connection.execute(parsed(query), {"toolset_id": toolset_id}).one_or_none()
    subject = _found(connection, row, toolset_id)
    if "project" in written:
        # By itself: the statement above sees deployments as they were before it waited.
        active = """
            SELECT FROM deployments
            WHERE id = (SELECT active_deployment_id FROM projects WHERE id = :project_id)
            FOR UPDATE NOWAIT
        """
        connection.execute(parsed(active), subject.parameters)
    return subject


def _found(connection: Connection, row: Row[Any] | None, toolset_id: UUID) -> Subject:
    """Raises VersionConflict if the row that was waited for has moved to another owner meanwhile, ToolsetNotFound if it
    is gone."""
    if row is not None:
        return Subject(**row._mapping)
    toolset_of_id(connection, toolset_id)
    raise VersionConflict(reason="the toolset was moved meanwhile")


def touch_owners(connection: Connection, subject: Subject, scopes: Collection[Scope]) -> None:
    """Write the rows of these owners with what they have. An app that waits for such a row in REPEATABLE READ or
    SERIALIZABLE would otherwise go on with what it saw before; so it gets a serialization failure."""
    for scope, table in (("organization", "organizations"), ("project", "projects")):
        if scope in scopes:
            touch = f"UPDATE {table} SET name = name WHERE id = :{scope}_id"
            connection.execute(parsed(touch), subject.parameters)


def _strength(scope: Scope, written: Collection[Scope]) -> str:
    return "FOR UPDATE" if scope in written else "FOR SHARE"


def hold_rows(connection: Connection, rows: Sequence[str], subject: Subject) -> None:
    """Hold what these queries find, each row of it, until the transaction ends. Raises VersionConflict if a row is not
    free; waiting for it could make an app the victim of a deadlock."""
    if not rows:
        return
    statement = f"WITH {', '.join(held_steps(rows))} SELECT {held_count(rows)}"
    connection.execute(parsed(statement), subject.parameters)


def held_steps(rows: Sequence[str]) -> list[str]:
    """SQL: the steps of a WITH clause that hold what these queries find, if the statement asks for `held_count`."""
    return [f"rows_{place} AS MATERIALIZED ({query} FOR UPDATE NOWAIT)" for place, query in enumerate(rows)]


def held_count(rows: Sequence[str]) -> str:
    """SQL: how many rows those steps hold. PostgreSQL carries out only the steps that it is asked about."""
    return " + ".join(("0", *(f"(SELECT count(*) FROM rows_{place})" for place in range(len(rows)))))


def hold_toolset(connection: Connection, toolset_id: UUID) -> Subject:
    """Hold the toolset's row until the transaction ends: no other operation on it runs meanwhile. Apps that hold it are
    waited for; they may add to its lists. Raises ToolsetNotFound, and VersionConflict if it stays busy."""
    query = f"""
        SELECT t.id AS toolset_id, t.project_id, t.organization_id, {PATH}
        FROM toolsets t JOIN projects p ON p.id = t.project_id JOIN organizations o ON o.id = t.organization_id
        WHERE t.id = :toolset_id AND t.deleted_at IS NULL
        FOR NO KEY UPDATE OF t
    """
    return _found(connection, connection.execute(parsed(query), {"toolset_id": toolset_id}).one_or_none(), toolset_id)


def hold_for_editing(
    connection: Connection, reference: str, scope: Scope, *, organization: str | None = None
) -> Subject:
    """Hold the row whose owner's live state an app is about to edit, until the app's transaction ends, and wait for it
    as long as the app's settings say.

    The organization's row is held first, so weakly that only those are kept out who write there: the foreign key of a
    variation takes the same lock, and taken after that of a row below it could end in a deadlock of two apps.
    Raises ToolsetNotFound, also for a toolset of another organization than `organization`.
    """
    where, parameters = naming(reference, organization)
    query = f"""
        SELECT t.id AS toolset_id, t.project_id, t.organization_id, {PATH}
        FROM toolsets t JOIN projects p ON p.id = t.project_id JOIN organizations o ON o.id = t.organization_id
        WHERE {where}
        {_EDITING[scope]}
    """
    for _ in range(TRIES):
        row = connection.execute(parsed(query), parameters).one_or_none()
        if row is not None:
            return Subject(**row._mapping)
        find_toolset(connection, reference, organization=organization)  # renamed or moved while it was waited for?
    raise VersionConflict(reason="the toolset was renamed or moved again and again")


# PostgreSQL takes the locks of a row in the order of these clauses.
_EDITING: Mapping[Scope, str] = {
    "organization": "FOR UPDATE OF o",
    "project": "FOR KEY SHARE OF o FOR UPDATE OF p",
    "toolset": "FOR KEY SHARE OF o FOR UPDATE OF t",
}


def wait_for_owners(connection: Connection, toolset_id: UUID, *, longest: str) -> None:
    """Wait until each row that `hold_owners` holds has been free, one after the other, and hold none of them.

    Ends after `longest` for each, as PostgreSQL writes times, whether it was free or not. The connection must be one on
    which each statement is a transaction of its own."""
    for owner in ("toolsets", "projects", "organizations"):
        column = {"toolsets": "id", "projects": "project_id", "organizations": "organization_id"}[owner]
        query = f"""
            WITH bounded AS MATERIALIZED (SELECT set_config('lock_timeout', :longest, true))
            SELECT owner.id FROM bounded, {owner} AS owner
            WHERE owner.id = (SELECT {column} FROM toolsets WHERE id = :toolset_id)
            FOR UPDATE OF owner
        """
        with suppress(VersionConflict), translated():
            connection.execute(parsed(query), {"toolset_id": toolset_id, "longest": longest})


# SQL: make a release the toolset's current one.
POINT_AT_RELEASE = "UPDATE toolsets SET current_release_id = :release_id WHERE id = :toolset_id"


def set_current_release(connection: Connection, subject: Subject, release_id: UUID) -> None:
    """Make a release the toolset's current one."""
    parameters = {"release_id": release_id, "toolset_id": subject.toolset_id}
    moved = connection.execute(parsed(POINT_AT_RELEASE), parameters)
    if moved.rowcount != 1:
        raise VersionConflict(reason="the toolset was deleted meanwhile")
