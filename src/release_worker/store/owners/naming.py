"""Finding a toolset by its name, and the organization that a caller means."""

from uuid import UUID

from sqlalchemy import Connection

from release_worker.domain.subject import Subject
from release_worker.errors import ToolsetNotFound
from release_worker.store.owners.relations import LIVE, OWNED, SUBJECT
from release_worker.store.statements import parsed

_UUID = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"


def find_toolset(connection: Connection, reference: str, *, organization: str | None = None) -> Subject:
    """The live toolset with this UUID or `organization/project/toolset`.

    Raises ToolsetNotFound, also for a toolset of another organization than `organization`, its slug or id, if given.
    """
    where, parameters = naming(reference, organization)
    query = f"""
        SELECT {SUBJECT}
        FROM {OWNED}
        WHERE {where}
    """
    row = connection.execute(parsed(query), parameters).one_or_none()
    if row is None:
        raise ToolsetNotFound(toolset=reference)
    return Subject(**row._mapping)


def toolset_of_id(connection: Connection, toolset_id: UUID) -> Subject:
    """The live toolset of this id, held by nobody. Raises ToolsetNotFound."""
    return find_toolset(connection, str(toolset_id))


def toolset_named(reference: str, organization: str | None) -> tuple[str, dict[str, object]]:
    """SQL: a query of the id of the live toolset of this name, no row if there is none; and its parameters."""
    where, parameters = naming(reference, organization)
    return f"SELECT t.id FROM {OWNED} WHERE {where}", parameters


def naming(reference: str, organization: str | None) -> tuple[str, dict[str, object]]:
    """SQL: the condition that `t`, `p` and `o` are the live toolset of this name; and its parameters."""
    if reference.count("/") == 2:
        # The project's organization, too: otherwise a path could mean two toolsets, if a toolset's own column differs.
        where = f"""
            {LIVE} AND o.slug = :organization AND p.organization_id = o.id AND p.slug = :project
            AND t.slug = :toolset
        """
        slugs = zip(("organization", "project", "toolset"), reference.split("/"), strict=True)
        parameters: dict[str, object] = dict(slugs)
    else:
        where = f"{LIVE} AND t.id = :toolset_id"
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
    by_slug = f"SELECT known.id FROM ours.organizations AS known WHERE known.slug = {named}"
    return f"""(
        SELECT named.id FROM ours.organizations AS named
        WHERE named.id = CASE WHEN {named} ~ '{_UUID}' THEN CAST({named} AS uuid) ELSE ({by_slug}) END)"""
