"""The demo's own way to the database: plain SQL, as an app has it, and nothing of the worker's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from release_worker import migrations
from release_worker.store.engine import ledger_transaction, make_engine

Row = tuple[Any, ...]
Execute = Callable[..., list[Row]]


class Database:
    """Statements have named places, `%(name)s`; what is in `names` has its place in every statement."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url, application_name="release_worker demo")
        self.names: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def migrate(self) -> None:
        """Bring the schema to the newest revision."""
        with self._engine.connect() as connection:
            migrations.upgrade(connection)

    @contextmanager
    def transaction(self) -> Iterator[Execute]:
        """What is executed within commits together. Rows come back as tuples, JSON with its exact numbers."""
        with ledger_transaction(self._engine) as connection:

            def execute(statement: str, **values: Any) -> list[Row]:
                result = connection.exec_driver_sql(statement, {**self.names, **values})
                return [tuple(row) for row in result] if result.returns_rows else []

            yield execute

    def rows(self, statement: str, **values: Any) -> list[Row]:
        """The rows that one statement returns."""
        with self.transaction() as execute:
            return execute(statement, **values)

    def row(self, statement: str, **values: Any) -> Row:
        """The one row that it returns."""
        [row] = self.rows(statement, **values)
        return row

    def value(self, statement: str, **values: Any) -> Any:
        """The one value that it returns."""
        [value] = self.row(statement, **values)
        return value
