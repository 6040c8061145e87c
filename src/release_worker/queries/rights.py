"""What the connected role may do with our tables, beside what `release-worker db grants` would give it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker import migrations
from release_worker.migrations.privileges import Privilege, granted
from release_worker.store.statements import parsed
from release_worker.store.tables import metadata

GROUPS = ("release_worker_worker", "release_worker_app", "release_worker_reader")
_WRITING = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")


@dataclass(frozen=True, slots=True)
class Rights:
    """`measured_as`: the group whose privileges it was compared with. `missing` and `beyond`: such as `UPDATE (name) on
    toolsets`. `everything`: why it may do anything: it is a superuser, or owns the tables; None if neither."""

    role: str
    measured_as: str
    missing: Sequence[str]
    beyond: Sequence[str]
    everything: str | None


def rights(connection: Connection, *, group: str | None = None) -> Rights:
    """Of the connected role; compared with `group`, or the first of ours that it is in, or the worker's."""
    about = """
        SELECT current_user AS role, rolsuper AS superuser,
               EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('ours.toolset_releases')
                       AND pg_has_role(current_user, relowner, 'USAGE')) AS owner,
               ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY (CAST(:groups AS text[]))
                     AND pg_has_role(current_user, oid, 'USAGE')) AS groups
        FROM pg_roles WHERE rolname = current_user
    """
    row = connection.execute(parsed(about), {"groups": list(GROUPS)}).one()
    everything = "a superuser" if row.superuser else "the owner of the tables" if row.owner else None
    of_its_own = [one for one in GROUPS if one in row.groups]
    measured_as = group or (of_its_own[0] if of_its_own and everything is None else GROUPS[0])
    wanted = granted(migrations.grants())[measured_as]
    return Rights(
        role=row.role,
        measured_as=measured_as,
        missing=_in_words(_lacking(connection, sorted(wanted, key=str))),
        beyond=[] if everything else _in_words(_beyond(connection, wanted)),
        everything=everything,
    )


def _lacking(connection: Connection, wanted: Sequence[Privilege]) -> list[Privilege]:
    asked = """
        SELECT place FROM unnest(CAST(:actions AS text[]), CAST(:tables AS text[]), CAST(:columns AS text[]))
            WITH ORDINALITY AS wanted (action, named, attribute, place), to_regclass('ours.' || named) AS found
        WHERE found IS NOT NULL
          AND NOT CASE WHEN attribute IS NULL THEN has_table_privilege(found, action)
                       WHEN NOT EXISTS (SELECT FROM pg_attribute
                                        WHERE attrelid = found AND attname = attribute) THEN true
                       ELSE has_column_privilege(found, attribute, action) END
        ORDER BY place
    """
    parameters = {
        "actions": [one.action for one in wanted],
        "tables": [one.table for one in wanted],
        "columns": [one.column for one in wanted],
    }
    return [wanted[place - 1] for place in connection.execute(parsed(asked), parameters).scalars()]


def _beyond(connection: Connection, wanted: frozenset[Privilege]) -> list[Privilege]:
    held = """
        SELECT action, relname AS named, NULL AS attribute
        FROM pg_class, unnest(CAST(:actions AS text[])) AS action
        WHERE oid IN (SELECT to_regclass('ours.' || one) FROM unnest(CAST(:tables AS text[])) AS one)
          AND has_table_privilege(oid, action)
        UNION ALL
        SELECT action, relname, attname
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, unnest(ARRAY['INSERT', 'UPDATE']) AS action
        WHERE pg_class.oid IN (SELECT to_regclass('ours.' || one) FROM unnest(CAST(:tables AS text[])) AS one)
          AND attnum > 0 AND NOT attisdropped
          AND has_column_privilege(attrelid, attnum, action) AND NOT has_table_privilege(attrelid, action)
        ORDER BY 2, 1, 3
    """
    rows = connection.execute(parsed(held), {"actions": list(_WRITING), "tables": list(metadata.tables)})
    found = [Privilege(row.action, row.named, row.attribute) for row in rows]
    return [one for one in found if one not in wanted and Privilege(one.action, one.table) not in wanted]


def _in_words(privileges: Sequence[Privilege]) -> list[str]:
    return [
        f"{one.action} ({one.column}) on {one.table}" if one.column else f"{one.action} on {one.table}"
        for one in privileges
    ]
