"""What a role may do with our tables and functions, beside what `release-worker db grants` would give it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker import migrations
from release_worker.domain.database import PUBLIC, in_sql
from release_worker.migrations.privileges import Privilege, executable, granted
from release_worker.store.statements import parsed
from release_worker.store.tables import metadata

# The strongest first.
GROUPS = ("release_worker_worker", "release_worker_app", "release_worker_reader", "release_worker_caller")
_WRITING = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")


@dataclass(frozen=True, slots=True)
class Rights:
    """`measured_as`: the group whose privileges it was compared with; `member_of`: the strongest of ours that it is in,
    None if in none. `missing` and `beyond`: such as `UPDATE (name) on toolsets`. `everything`: why it may do anything:
    it is a superuser, or owns the tables; None if neither."""

    role: str
    measured_as: str
    member_of: str | None
    missing: Sequence[str]
    beyond: Sequence[str]
    everything: str | None


# SQL: our tables, also for a role that may not use their schema, and so may not name them.
_HERE = "(SELECT oid FROM pg_namespace WHERE nspname = :schema)"
_IN_SCHEMA = f"relnamespace = {_HERE}"


def rights(connection: Connection, *, schema: str, group: str | None = None) -> Rights:
    """Of the connected role; compared with `group`, or the strongest of ours that it is in, or the worker's."""
    about = f"""
        SELECT current_user AS role, rolsuper AS superuser,
               EXISTS (SELECT FROM pg_class WHERE relname = 'toolset_releases' AND {_IN_SCHEMA}
                       AND pg_has_role(current_user, relowner, 'USAGE')) AS owner,
               ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY (CAST(:groups AS text[]))
                     AND pg_has_role(current_user, oid, 'MEMBER')) AS groups
        FROM pg_roles WHERE rolname = current_user
    """
    row = connection.execute(parsed(about), {"groups": list(GROUPS), "schema": schema}).one()
    everything = "a superuser" if row.superuser else "the owner of the tables" if row.owner else None
    of_its_own = [one for one in GROUPS if one in row.groups and everything is None]
    measured_as = group or (of_its_own[0] if of_its_own else GROUPS[0])
    wanted = granted(migrations.grants())[measured_as]
    return Rights(
        role=row.role,
        measured_as=measured_as,
        member_of=of_its_own[0] if of_its_own else None,
        missing=_missing(connection, row.role, measured_as, schema),
        beyond=[] if everything else _in_words(_beyond(connection, wanted, schema), schema),
        everything=everything,
    )


def groups_that_lack(connection: Connection, *, schema: str) -> Sequence[str]:
    """Those of our groups to which this schema's tables were granted once, and not all that this version grants."""
    there = f"""
        SELECT rolname::text FROM pg_roles
        WHERE rolname = ANY (CAST(:groups AS text[])) AND NOT rolsuper
          AND EXISTS (SELECT FROM pg_class, aclexplode(relacl) AS given
                      WHERE {_IN_SCHEMA} AND relname = ANY (CAST(:tables AS text[])) AND given.grantee = pg_roles.oid)
    """
    parameters = {"groups": list(GROUPS), "tables": [*metadata.tables, *migrations.objects.VIEWS], "schema": schema}
    known = connection.execute(parsed(there), parameters).scalars().all()
    return [group for group in GROUPS if group in known and _missing(connection, group, group, schema)]


def _missing(connection: Connection, role: str, group: str, schema: str) -> list[str]:
    """What the role may not do of what the group is granted, in words."""
    script = migrations.grants()
    entering = f"SELECT has_schema_privilege(CAST(:role AS name), {_HERE}, 'USAGE')"
    may_enter = connection.execute(parsed(entering), {"role": role, "schema": schema}).scalar_one()
    return [
        *([f"USAGE on schema {in_sql(schema)}"] if may_enter is False else []),
        *_in_words(_lacking(connection, role, sorted(granted(script)[group], key=str), schema), schema),
        *_not_executable(connection, role, sorted(executable(script).get(group, ())), schema),
    ]


def _lacking(connection: Connection, role: str, wanted: Sequence[Privilege], schema: str) -> list[Privilege]:
    asked = f"""
        SELECT place FROM unnest(CAST(:actions AS text[]), CAST(:tables AS text[]), CAST(:columns AS text[]))
            WITH ORDINALITY AS wanted (action, named, attribute, place)
        JOIN pg_class AS found ON relname = named AND {_IN_SCHEMA}
        WHERE NOT CASE WHEN attribute IS NULL THEN has_table_privilege(CAST(:role AS name), found.oid, action)
                       WHEN NOT EXISTS (SELECT FROM pg_attribute
                                        WHERE attrelid = found.oid AND attname = attribute) THEN true
                       ELSE has_column_privilege(CAST(:role AS name), found.oid, attribute, action) END
        ORDER BY place
    """
    parameters: dict[str, object] = {
        "schema": schema,
        "role": role,
        "actions": [one.action for one in wanted],
        "tables": [one.table for one in wanted],
        "columns": [one.column for one in wanted],
    }
    return [wanted[place - 1] for place in connection.execute(parsed(asked), parameters).scalars()]


def _not_executable(connection: Connection, role: str, wanted: Sequence[str], schema: str) -> list[str]:
    """Functions are found by what PostgreSQL says of them: whoever may not use their schema may not name them."""
    asked = f"""
        SELECT signature
        FROM (SELECT oid, proname || '(' || oidvectortypes(proargtypes) || ')' AS signature
              FROM pg_proc WHERE pronamespace = {_HERE}) AS found
        WHERE signature = ANY (CAST(:wanted AS text[]))
          AND NOT has_function_privilege(CAST(:role AS name), oid, 'EXECUTE')
        ORDER BY signature
    """
    lacking = connection.execute(parsed(asked), {"schema": schema, "role": role, "wanted": list(wanted)}).scalars()
    return [f"EXECUTE on function {_place(schema)}{signature}" for signature in lacking]


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
    place = _place(schema)
    return [
        f"{one.action} ({one.column}) on {place}{one.table}" if one.column else f"{one.action} on {place}{one.table}"
        for one in privileges
    ]


def _place(schema: str) -> str:
    return "" if schema == PUBLIC else f"{in_sql(schema)}."
