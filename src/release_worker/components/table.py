"""Rows of any table as a component, without a line of SQL by its author."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import Connection

from release_worker.components.columns import Columns, read_columns, refusal, unlinked
from release_worker.components.exact_text import as_json, as_key, as_text, pinned, pinning
from release_worker.components.naming import checked, literal, qualified, quoted
from release_worker.domain.digests import BUILT_IN
from release_worker.domain.subject import ALL_SCOPES, Scope
from release_worker.state.component import Parameters, keyed_diff, members
from release_worker.store.statements import parsed

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlinkedTableComponent:
    """A TableComponent for a table whose rows have no foreign key to their owner.

    Nothing holds off rows that others add while a rollback runs, so this has no `live_rows`: instead, the table is
    compared again from outside before a rollback commits. Prefer a foreign key and TableComponent.
    """

    name: str
    table: str | Sequence[str]
    key: str | Sequence[str]
    scope: Scope
    scope_column: str
    values: Sequence[str]
    deleted_at: str | None = None
    _linked: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name) or self.name in BUILT_IN:
            raise ValueError(f"the name must be lower-case words joined by _, and not a built-in one: {self.name!r}")
        if self.scope not in ALL_SCOPES:
            raise ValueError(f"the scope must be toolset, project or organization: {self.scope!r}")
        if len(self._table) not in (1, 2):
            raise ValueError(f"the table must be a name, or a schema and a name: {self.table!r}")
        for part in self._table:
            checked(part, "the table")
        if not self._key:
            raise ValueError("the key must be at least one column")
        columns = [
            *self._key,
            *self._values,
            self.scope_column,
            *([] if self.deleted_at is None else [self.deleted_at]),
        ]
        for column in columns:
            if checked(column, "a column") == "*":
                raise ValueError("columns must be listed by their names, not as *")
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise ValueError(f"columns that are listed twice: {', '.join(twice)}")

    def capture(self) -> str:
        return pinned(f"""
            SELECT CASE
                WHEN {refusal(self._table, self._key, self._values)} THEN NULL
                WHEN {self._unlinked} THEN NULL
                WHEN max(place) > 1
                THEN to_jsonb(CAST('two rows have the key ' || min(key) FILTER (WHERE place > 1) AS boolean))
                ELSE CAST(json_object_agg(key, item) AS jsonb)
            END AS content
            FROM (
                SELECT key, item, row_number() OVER (PARTITION BY key) AS place
                FROM (
                    SELECT {self._live_key} AS key, {self._live_item} AS item
                    FROM {{pinned}} CROSS JOIN {self._live} WHERE {self._ours}) AS items) AS items""")

    def diff(self, before: str, after: str) -> str:
        return keyed_diff(members(before), members(after))

    def restore(self, connection: Connection, target: str, parameters: Parameters) -> None:
        columns = read_columns(connection, self.name, self._table, (*self._key, *self._values))
        wanted = f"(SELECT key, value AS item FROM jsonb_each({target})) AS target"
        with pinning(connection):
            for statement in self._restoring(wanted, columns):
                connection.execute(parsed(statement), parameters)

    def _restoring(self, wanted: str, columns: Columns) -> Iterator[str]:
        """What frees a value of a unique constraint comes before what may need it."""
        same = f"target.key = {self._live_key}"
        key = [columns.from_key(column, self._key) for column in self._key]
        values = [columns.from_item(column) for column in self._values]
        changes = [f"{quoted(column)} = {value}" for column, value in zip(self._values, values, strict=True)]
        yield self._remove(f"{self._ours} AND NOT EXISTS (SELECT FROM {wanted} WHERE {same})")
        if changes:
            yield f"""
                UPDATE {self._live} SET {", ".join(changes)} FROM {wanted}
                WHERE {self._ours} AND {same} AND CAST({self._live_item} AS jsonb) <> target.item
            """
        if self.deleted_at is not None:
            yield self._revive(wanted, [f"{quoted(self.deleted_at)} = NULL", *changes])
        yield f"""
            INSERT INTO {qualified(self._table)} ({_listed(self.scope_column, *self._key, *self._values)})
            OVERRIDING SYSTEM VALUE
            SELECT {", ".join((self._owner, *key, *values))} FROM {wanted}
            WHERE NOT EXISTS (SELECT FROM {self._live} WHERE {self._ours} AND {same})
        """

    def _remove(self, condition: str) -> str:
        if self.deleted_at is None:
            return f"DELETE FROM {self._live} WHERE {condition}"
        return f"UPDATE {self._live} SET {quoted(self.deleted_at)} = now() WHERE {condition}"

    def _revive(self, wanted: str, changes: Sequence[str]) -> str:
        """SQL: bring back the row that was deleted last, for each wanted key without a row."""
        return f"""
            WITH _rw_kept AS MATERIALIZED (SELECT {self._live_key} AS key FROM {self._live} WHERE {self._ours}),
            _rw_deleted AS MATERIALIZED (
                SELECT DISTINCT ON ({self._live_key}) {self._live_key} AS key, tableoid AS part, ctid AS place
                FROM {self._live} WHERE {self._owned} AND NOT ({self._there})
                ORDER BY {self._live_key}, {_of_live(self.deleted_at or "")} DESC, ctid DESC)
            UPDATE {self._live} SET {", ".join(changes)}
            FROM {wanted} JOIN _rw_deleted ON _rw_deleted.key = target.key
            WHERE live.tableoid = _rw_deleted.part AND live.ctid = _rw_deleted.place
              AND NOT EXISTS (SELECT FROM _rw_kept WHERE _rw_kept.key = target.key)
        """

    @property
    def _unlinked(self) -> str:
        return unlinked(self._table, self.scope_column, f"{self.scope}s") if self._linked else "NULL"

    @property
    def _table(self) -> tuple[str, ...]:
        return tuple(self.table.split(".")) if isinstance(self.table, str) else tuple(self.table)

    @property
    def _key(self) -> tuple[str, ...]:
        return (self.key,) if isinstance(self.key, str) else tuple(self.key)

    @property
    def _values(self) -> tuple[str, ...]:
        return (self.values,) if isinstance(self.values, str) else tuple(self.values)

    @property
    def _live(self) -> str:
        return f"{qualified(self._table)} AS live"

    @property
    def _owner(self) -> str:
        return f":{self.scope}_id"

    @property
    def _owned(self) -> str:
        return f"{_of_live(self.scope_column)} = {self._owner}"

    @property
    def _there(self) -> str:
        return "true" if self.deleted_at is None else f"{_of_live(self.deleted_at)} IS NULL"

    @property
    def _ours(self) -> str:
        return f"({self._owned} AND {self._there})"

    @property
    def _live_key(self) -> str:
        """SQL: the key of row `live`; NULL, which no content can have, if the key is of one column and that is NULL."""
        if len(self._key) == 1:
            column = _of_live(self._key[0])
            return f"(CASE WHEN {column} IS DISTINCT FROM NULL THEN {as_text(column)} END)"
        parts = (_unless_null(column, as_key) for column in self._key)
        return f"CAST(json_build_array({', '.join(parts)}) AS text)"

    @property
    def _live_item(self) -> str:
        """SQL: the `json` of the values of row `live`."""
        if not self._values:
            return "CAST('{}' AS json)"
        members_of = (f"({literal(column)}, {_unless_null(column, as_json)})" for column in self._values)
        return f"""(
            SELECT coalesce(json_object_agg(name, value), '{{}}')
            FROM (VALUES {", ".join(members_of)}) AS listed (name, value) WHERE value IS NOT NULL)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableComponent(UnlinkedTableComponent):
    """The rows of `table` that belong to a toolset, a project or an organization.

    - `table`: its name, `schema.name`, or the two as a sequence if one of them has a dot.
    - `key`: the column, or the columns, that tell the rows of an owner apart.
    - `scope`, `scope_column`: who owns a row, and the column that holds the owner's id, with a foreign key to
      `toolsets`, `projects` or `organizations`: it holds off rows that others add while a rollback runs. Without such a
      key, use UnlinkedTableComponent.
    - `values`: the columns that are captured and restored. All others are left alone, and have their defaults in a row
      that comes back.
    - `deleted_at`: the column that says when a row was deleted, if rows are deleted softly. Such a row is not there. Of
      those with the key of a row that is to come back, the one that was deleted last comes back.

    Content: `{key: {column: value}}`, NULL if there are no rows. The key is the text of its column, or a JSON array as
    text for several columns: `["eu", 3]`. Booleans, integers, numerics and `jsonb` are JSON values, numbers equal by
    value; each other value is the text that PostgreSQL writes for it, times in UTC. A column that is SQL NULL is left
    out; JSON null is null.

    Generated columns cannot be listed; an identity column GENERATED ALWAYS can be in the key only. A unique constraint
    on `values` must be DEFERRABLE if rows of one owner may exchange their values.

    Raises ValueError for arguments that no table can have. Capturing or restoring a table that does not fit, or two
    rows with one key, is a ComponentFailed.
    """

    _linked: ClassVar[bool] = True

    def live_rows(self) -> tuple[str, ...]:
        """Deleted rows too: an app could bring them back."""
        return (f"SELECT FROM {self._live} WHERE {self._owned}",)


def _of_live(column: str) -> str:
    return f"live.{quoted(column)}"


def _listed(*columns: str) -> str:
    return ", ".join(map(quoted, columns))


def _unless_null(column: str, written: Callable[[str], str]) -> str:
    # A composite value whose fields are all NULL "is NULL", but is none.
    value = _of_live(column)
    return f"CASE WHEN {value} IS DISTINCT FROM NULL THEN {written(value)} END"
