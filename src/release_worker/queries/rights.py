"""What the connected role may do with our tables, beside what `release-worker db grants` would give it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker import migrations
from release_worker.domain.database import PUBLIC, in_sql
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


# SQL: our tables, also for a role that may not use their schema, and so may not name them.
_IN_SCHEMA = "relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = :schema)"


def rights(connection: Connection, *, schema: str, group: str | None = None) -> Rights:
    """Of the connected role; compared with `group`, or the first of ours that it is in, or the worker's."""
    about = f"""
        SELECT current_user AS role, rolsuper AS superuser,
               has_schema_privilege((SELECT oid FROM pg_namespace WHERE nspname = :schema), 'USAGE') AS may_enter,
               EXISTS (SELECT FROM pg_class WHERE relname = 'toolset_releases' AND {_IN_SCHEMA}
                       AND pg_has_role(current_user, relowner, 'USAGE')) AS owner,
               ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY (CAST(:groups AS text[]))
                     AND pg_has_role(current_user, oid, 'USAGE')) AS groups
        FROM pg_roles WHERE rolname = current_user
    """
    row = connection.execute(parsed(about), {"groups": list(GROUPS), "schema": schema}).one()
    everything = "a superuser" if row.superuser else "the owner of the tables" if row.owner else None
    of_its_own = [one for one in GROUPS if one in row.groups]
    measured_as = group or (of_its_own[0] if of_its_own and everything is None else GROUPS[0])
    wanted = granted(migrations.grants())[measured_as]
    entering = [f"USAGE on schema {in_sql(schema)}"] if row.may_enter is False else []
    return Rights(
        role=row.role,
        measured_as=measured_as,
        missing=entering + _in_words(_lacking(connection, sorted(wanted, key=str), schema), schema),
        beyond=[] if everything else _in_words(_beyond(connection, wanted, schema), schema),
        everything=everything,
    )


def _lacking(connection: Connection, wanted: Sequence[Privilege], schema: str) -> list[Privilege]:
    asked = f"""
        SELECT place FROM unnest(CAST(:actions AS text[]), CAST(:tables AS text[]), CAST(:columns AS text[]))
            WITH ORDINALITY AS wanted (action, named, attribute, place)
        JOIN pg_class AS found ON relname = named AND {_IN_SCHEMA}
        WHERE NOT CASE WHEN attribute IS NULL THEN has_table_privilege(found.oid, action)
                       WHEN NOT EXISTS (SELECT FROM pg_attribute
                                        WHERE attrelid = found.oid AND attname = attribute) THEN true
                       ELSE has_column_privilege(found.oid, attribute, action) END
        ORDER BY place
    """
    parameters: dict[str, object] = {
        "schema": schema,
        "actions": [one.action for one in wanted],
        "tables": [one.table for one in wanted],
        "columns": [one.column for one in wanted],
    }
    return [wanted[place - 1] for place in connection.execute(parsed(asked), parameters).scalars()]


def _beyond(connection: Connection, wanted: frozenset[Privilege], schema: str) -> list[Privilege]:
    held = f"""
        SELECT action, relname AS named, NULL AS attribute
        FROM pg_class, unnest(CAST(:actions AS text[])) AS action
        WHERE relname = ANY (CAST(:tables AS text[])) AND {_IN_SCHEMA}
          AND has_table_privilege(oid, action)
        UNION ALL
        SELECT action, relname, attname
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid, unnest(ARRAY['INSERT', 'UPDATE']) AS action
        WHERE relname = ANY (CAST(:tables AS text[])) AND {_IN_SCHEMA}
          AND attnum > 0 AND NOT attisdropped
          AND has_column_privilege(attrelid, attnum, action) AND NOT has_table_privilege(attrelid, action)
        ORDER BY 2, 1, 3
    """
    parameters = {"schema": schema, "actions": list(_WRITING), "tables": list(metadata.tables)}
    rows = connection.execute(parsed(held), parameters)
    found = [Privilege(row.action, row.named, row.attribute) for row in rows]
    return [one for one in found if one not in wanted and Privilege(one.action, one.table) not in wanted]


def _in_words(privileges: Sequence[Privilege], schema: str) -> list[str]:
    place = "" if schema == PUBLIC else f"{in_sql(schema)}."
    return [
        f"{one.action} ({one.column}) on {place}{one.table}" if one.column else f"{one.action} on {place}{one.table}"
        for one in privileges
    ]
