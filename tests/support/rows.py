"""Plain SQL as an app would write it: one row, or the rows that some columns name, each in a short transaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from tests.support.exact_json import written

_JSON_COLUMNS = frozenset({"settings", "config", "definition", "arguments", "value", "labels"})


class SqlNull:
    """No value at all, in a column whose None would stand for the JSON value `null`."""


SQL_NULL: Final = SqlNull()


class Rows:
    """Writes rows. Within `transaction()`, everything that this object writes commits together."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._open: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction; a nested one joins it."""
        if self._open is not None:
            yield self._open
            return
        with self.engine.begin() as connection:
            self._open = connection
            try:
                yield connection
            finally:
                self._open = None

    def insert(self, table: str, **columns: Any) -> UUID:
        """Insert a row; returns its `id`, or the first column of its key where it has none."""
        names, values = ", ".join(columns), ", ".join(map(_place, columns))
        key = _KEYED_OTHERWISE.get(table, "id")
        return UUID(
            str(self._run(f"INSERT INTO {table} ({names}) VALUES ({values}) RETURNING {key}", columns).scalar())
        )

    def update(self, table: str, where: Mapping[str, Any], **columns: Any) -> int:
        """Set columns of the rows whose other columns are these; returns how many there were."""
        assignments = ", ".join(f"{column} = {_place(column)}" for column in columns)
        keys = {f"key_{column}": value for column, value in where.items()}
        statement = f"UPDATE {table} SET {assignments} WHERE {_condition(where)}"
        return int(self._run(statement, {**columns, **keys}).rowcount)

    def delete(self, table: str, where: Mapping[str, Any]) -> int:
        """Delete the rows whose columns are these; returns how many there were."""
        keys = {f"key_{column}": value for column, value in where.items()}
        return int(self._run(f"DELETE FROM {table} WHERE {_condition(where)}", keys).rowcount)

    def _run(self, statement: str, values: Mapping[str, Any]) -> Any:
        bound = {name: _bound(name, value) for name, value in values.items()}
        with self.transaction() as connection:
            return connection.execute(text(statement), bound)


_KEYED_OTHERWISE = {"toolset_tools": "toolset_id", "toolset_resources": "toolset_id", "system_configs": "project_id"}


def _place(column: str) -> str:
    return f"CAST(:{column} AS jsonb)" if column in _JSON_COLUMNS else f":{column}"


def _condition(where: Mapping[str, Any]) -> str:
    return " AND ".join(
        f"{column} IS NULL" if value is None else f"{column} = :key_{column}" for column, value in where.items()
    )


def _bound(column: str, value: Any) -> Any:
    if isinstance(value, SqlNull):
        return None
    return written(value) if column in _JSON_COLUMNS else value
