"""Every statement that one real release sends, as psycopg is given it: from SQLAlchemy's hook on new connections."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event, text

from benchmarks import world
from benchmarks.in_process import InProcessWorker

EFFECT = "INSERT INTO public.toolset_releases"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with psycopg's places, what was put into them, and what came back."""

    sql: str
    parameters: Mapping[str, Any] | Sequence[Any]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()


@dataclass(frozen=True, slots=True)
class Transaction:
    """Statements that committed together. `ledger` is the request's row, as it was committed before."""

    ledger: Mapping[str, Any] | None
    statements: list[Statement] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Recording:
    """One release of a toolset that had changed in every component."""

    toolset: int
    toolset_id: UUID
    request_id: str
    transactions: Sequence[Transaction]

    @property
    def operation(self) -> Transaction:
        """The transaction that has the effect."""
        return next(one for one in self.transactions if any(EFFECT in statement.sql for statement in one.statements))

    @property
    def statements(self) -> int:
        """How many a worker sends for a release, in all its transactions."""
        return sum(len(one.statements) for one in self.transactions)


def record_release(worker: InProcessWorker, toolsets: int) -> Recording:
    """Have the last of the toolsets changed and released, and listen."""
    request_id = "recorded-request-of-the-benchmark"
    with worker.site.engine.begin() as connection:
        world.edit_all(connection, toolsets, 1)
    transactions: list[Transaction] = []
    with _recorded(worker.site.engine, request_id, transactions):
        worker.create_release(
            world.path(toolsets - 1)
        )  # a new connection first asks for the server's version and so on
        transactions.clear()
        worker.create_release(world.path(toolsets), request_id=request_id)
    worker.close()
    with worker.site.engine.connect() as connection:
        toolset_id = connection.execute(text("SELECT id FROM toolsets WHERE slug = :slug"), {"slug": str(toolsets)})
        return Recording(toolsets, toolset_id.scalar_one(), request_id, transactions)


@contextmanager
def _recorded(looker: Engine, request_id: str, transactions: list[Transaction]) -> Iterator[None]:
    """All connections that are opened within record what they send."""
    own = looker.connect().execution_options(isolation_level="AUTOCOMMIT")

    def ledger() -> Mapping[str, Any] | None:
        query = text("SELECT kind, payload::text, status, attempts FROM release_requests WHERE id = :id")
        row = own.execute(query, {"id": request_id}).one_or_none()
        return None if row is None else dict(row._mapping)

    class RecordingCursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
            if self.connection.info.transaction_status == TransactionStatus.IDLE:
                transactions.append(Transaction(ledger()))
            super().execute(query, params, **options)
            sql = query if isinstance(query, str) else bytes(query).decode()
            transactions[-1].statements.append(Statement(sql, params or {}, *self._answer()))
            return self

        def _answer(self) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
            if self.description is None or not self.rowcount:
                return (), ()
            rows = self.fetchall()
            self.scroll(0, mode="absolute")
            return [column.name for column in self.description], rows

    def use_ours(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        parameters["cursor_factory"] = RecordingCursor

    event.listen(Engine, "do_connect", use_ours)
    try:
        yield
    finally:
        event.remove(Engine, "do_connect", use_ours)
        own.close()
