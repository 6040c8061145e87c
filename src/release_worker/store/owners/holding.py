"""Holding the rows of toolsets and of their owners."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from release_worker.domain.owner_name import OwnerName
from release_worker.domain.subject import Scope, Subject
from release_worker.errors import VersionConflict
from release_worker.store.conflicts import translated
from release_worker.store.owners.listing import find_owner_ids
from release_worker.store.owners.naming import find_toolset, naming, toolset_of_id
from release_worker.store.owners.relations import (
    ACTIVE_DEPLOYMENT,
    LIVE,
    ORGANIZATION,
    OWNED,
    OWNERS,
    PROJECT,
    SUBJECT,
    TOOLSET,
)
from release_worker.store.sending import send
from release_worker.store.statements import parsed

TRIES = 5  # to find a toolset by a name that changes hands meanwhile


def hold_owners(connection: Connection, toolset_id: UUID, *, written: Collection[Scope], wait: bool = True) -> Subject:
    """Hold the rows of the toolset and of its owners until the transaction ends: what is read afterwards stays so.

    Those of the scopes in `written` are held alone, and nothing can be added below them. The others are shared with
    whoever only reads them too, and refused to those who write: operations on other toolsets go on beside this one.
    If the project is written, its active deployment is held as well.

    Only the toolset's row is waited for, and nothing is held meanwhile. Every other one must be free: an app that waits
    for what this transaction holds would otherwise be the victim of a deadlock, whatever the order of its locks. Hence
    no `wait` for the row of a second toolset. Raises VersionConflict if a row is not free, ToolsetNotFound if the
    toolset is gone.
    """
    query = f"""
        SELECT {SUBJECT}
        FROM {OWNED}
        WHERE t.id = :toolset_id AND {LIVE}
        FOR UPDATE OF t {"" if wait else "NOWAIT"}
        {_strength("project", written)} OF p NOWAIT
        {_strength("organization", written)} OF o NOWAIT
    """
    row = connection.execute(parsed(query), {"toolset_id": toolset_id}).one_or_none()
    subject = _found(connection, row, toolset_id)
    if "project" in written:
        # By itself: the statement above sees deployments as they were before it waited.
        hold_active_deployment(connection, subject)
    return subject


def hold_active_deployment(connection: Connection, subject: Subject) -> None:
    """Hold the deployment that is active in the project: nothing is added to it meanwhile. The project must be held.
    If the row is not free, the next statement that is waited for raises VersionConflict."""
    active = f"SELECT FROM ours.deployments WHERE id = {ACTIVE_DEPLOYMENT} FOR UPDATE NOWAIT"
    send(connection, active, subject.parameters)


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
    for owner, scope in ((ORGANIZATION, "organization"), (PROJECT, "project")):
        if scope in scopes:
            touch = f"UPDATE {owner.table} SET name = name WHERE {owner.ours}"
            send(connection, touch, subject.parameters)


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
    row = connection.execute(parsed(holding_toolset()), {"toolset_id": toolset_id}).one_or_none()
    return _found(connection, row, toolset_id)


def holding_toolset(*, columns: str = "", joined: str = "") -> str:
    """SQL: hold the row of the live toolset and read a Subject, with further columns of what is joined with it."""
    return f"""
        SELECT {SUBJECT}{columns}
        FROM {OWNED} {joined}
        WHERE t.id = :toolset_id AND {LIVE}
        FOR NO KEY UPDATE OF t
    """


def hold_for_editing(
    connection: Connection, reference: str, scope: Scope, *, organization: str | None = None
) -> Subject:
    """As `hold_all_for_editing`, of one scope."""
    return hold_all_for_editing(connection, reference, {scope}, organization=organization)


def hold_all_for_editing(
    connection: Connection, reference: str, scopes: Collection[Scope], *, organization: str | None = None
) -> Subject:
    """Hold the rows of the owners of these scopes, whose live state an app is about to edit, until the app's
    transaction ends.

    One scope: its row is waited for, as long as the app's settings say. The organization's row is held first, so weakly
    that only those are kept out who write there: the foreign key of a variation takes the same lock, and taken after
    that of a row below it could end in a deadlock of two apps.

    Several: only the lowest row is waited for, and nothing is held meanwhile; as in `hold_owners`, and for its reason.
    Raises VersionConflict if another one is not free.

    Raises ToolsetNotFound, also for a toolset of another organization than `organization`.
    """
    where, parameters = naming(reference, organization)
    query = f"""
        SELECT {SUBJECT}
        FROM {OWNED}
        WHERE {where}
        {_editing(scopes)}
    """
    for _ in range(TRIES):
        row = connection.execute(parsed(query), parameters).one_or_none()
        if row is not None:
            return Subject(**row._mapping)
        find_toolset(connection, reference, organization=organization)  # renamed or moved while it was waited for?
    raise VersionConflict(reason="the toolset was renamed or moved again and again")


def _editing(scopes: Collection[Scope]) -> str:
    """SQL: how the owners `o`, `p` and `t` are held. PostgreSQL takes the locks of a row in the order of these."""
    if len(scopes) == 1:
        weakly = "" if "organization" in scopes else "FOR KEY SHARE OF o"
        return f"{weakly} {' '.join(f'FOR UPDATE OF {_ALIASES[scope]}' for scope in scopes)}"
    lowest, *above = [alias for scope, alias in _ALIASES.items() if scope in scopes]
    weakly = "" if "organization" in scopes else "FOR KEY SHARE OF o NOWAIT"
    return f"FOR UPDATE OF {lowest} {' '.join(f'FOR UPDATE OF {alias} NOWAIT' for alias in above)} {weakly}"


_ALIASES: Mapping[Scope, str] = {"toolset": "t", "project": "p", "organization": "o"}  # the lowest first


def hold_owner_for_editing(connection: Connection, owner: OwnerName) -> tuple[UUID, UUID | None]:
    """As `hold_for_editing`, of a project or an organization by its name; the ids of the organization, and of the
    project if one is meant. Raises OwnerNotFound, and VersionConflict if the name has changed hands meanwhile."""
    ids = find_owner_ids(connection, owner)
    organization_id, project_id = ids
    if project_id is None:
        query = "SELECT FROM ours.organizations o WHERE o.id = :organization_id FOR UPDATE OF o"
    else:
        query = f"""
            SELECT FROM ours.projects p JOIN ours.organizations o ON o.id = p.organization_id
            WHERE p.id = :project_id AND o.id = :organization_id
            {_editing({"project"})}
        """
    connection.execute(parsed(query), {"organization_id": organization_id, "project_id": project_id})
    if find_owner_ids(connection, owner) != ids:
        raise VersionConflict(reason="the name changed hands meanwhile")
    return ids


def wait_for_owners(connection: Connection, toolset_id: UUID, *, longest: str) -> None:
    """Wait until each row that `hold_owners` holds has been free, one after the other, and hold none of them.

    Ends after `longest` for each, as PostgreSQL writes times, whether it was free or not. The connection must be one on
    which each statement is a transaction of its own."""
    for owner in OWNERS.values():
        query = f"""
            WITH bounded AS MATERIALIZED (SELECT set_config('lock_timeout', :longest, true))
            SELECT owner.id FROM bounded, {owner.table} AS owner
            WHERE owner.id = (SELECT {owner.of_toolset} FROM {TOOLSET.table} WHERE {TOOLSET.ours})
            FOR UPDATE OF owner
        """
        with suppress(VersionConflict), translated():
            connection.execute(parsed(query), {"toolset_id": toolset_id, "longest": longest})
