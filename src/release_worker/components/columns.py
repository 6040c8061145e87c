"""What the catalogue says about the columns of a table: whether they can be restored, and their types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from release_worker.components.naming import literal, quoted, registered
from release_worker.errors import ComponentFailed
from release_worker.store.statements import parsed


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type, as SQL, and whether its values are JSON values of their own."""

    sql: str
    is_jsonb: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """The types of columns by name; `target` is the row `key, item` that a value is read from."""

    types: Mapping[str, ColumnType]

    def from_item(self, column: str) -> str:
        """SQL: the value of a column in `target.item`; NULL if it is left out."""
        arrow = "->" if self.types[column].is_jsonb else "->>"
        return f"CAST(target.item {arrow} {literal(column)} AS {self.types[column].sql})"

    def from_key(self, column: str, key: Sequence[str]) -> str:
        """SQL: the value of a column in `target.key`, a text of the columns `key`."""
        text = "target.key" if len(key) == 1 else f"CAST(target.key AS jsonb) ->> {key.index(column)}"
        return f"CAST({text} AS {self.types[column].sql})"


def refusal(table: Sequence[str], key: Sequence[str], values: Sequence[str]) -> str:
    """SQL: an expression that is NULL, or fails with the reason why a column that is listed cannot be restored."""
    return f"""(
        SELECT CAST(concat('column ', attname, CASE WHEN attgenerated <> '' THEN ' is generated and cannot be listed'
            ELSE ' is GENERATED ALWAYS AS IDENTITY and can only be in the key' END) AS boolean)
        FROM pg_attribute
        WHERE attrelid = {registered(table)}
          AND ((attgenerated <> '' AND attname = ANY ({_array((*key, *values))}))
            OR (attidentity = 'a' AND attname = ANY ({_array(values)})))
        LIMIT 1)"""


def unlinked(table: Sequence[str], column: str, owners: str) -> str:
    """SQL: an expression that is NULL, or fails if the column has no foreign key to the table `owners`."""
    return f"""(
        SELECT CAST(concat('column ', attname, ' has no foreign key to {owners}: see UnlinkedTableComponent')
            AS boolean)
        FROM pg_attribute
        WHERE attrelid = {registered(table)} AND attname = {literal(column)} AND NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = attrelid AND contype = 'f' AND attnum = ANY (conkey)
              AND confrelid = CAST('ours.{owners}' AS regclass)))"""


def read_columns(connection: Connection, component: str, table: Sequence[str], names: Sequence[str]) -> Columns:
    """The types of these columns. Raises ComponentFailed if one is not there."""
    query = f"""
        WITH RECURSIVE bases AS (
            SELECT attname, atttypid AS type, atttypid AS base FROM pg_attribute
            WHERE attrelid = {registered(table)} AND attname = ANY ({_array(names)}) AND NOT attisdropped
            UNION ALL
            SELECT attname, type, typbasetype FROM bases JOIN pg_type ON pg_type.oid = base WHERE typtype = 'd')
        SELECT attname, nspname, typname, bool_or(base = CAST('jsonb' AS regtype)) AS is_jsonb
        FROM bases JOIN pg_type ON pg_type.oid = type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        GROUP BY attname, nspname, typname
    """
    types = {
        row.attname: ColumnType(f"{quoted(row.nspname)}.{quoted(row.typname)}", row.is_jsonb)
        for row in connection.execute(parsed(query))
    }
    if missing := [name for name in names if name not in types]:
        raise ComponentFailed(component=component, reason=f"there is no column {', '.join(missing)}")
    return Columns(types)


def _array(names: Sequence[str]) -> str:
    return f"CAST(ARRAY[{', '.join(map(literal, names))}] AS name[])"
