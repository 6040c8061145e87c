"""What a caller may hand over as `session`: whatever holds the transaction that a request is to be part of.

For type checkers alone: each of these libraries may be missing.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
    from sqlalchemy.orm import Session, scoped_session

    from release_worker.client.doors import Door

    SqlAlchemyTransaction: TypeAlias = Session | scoped_session[Any] | Connection | AsyncSession | AsyncConnection
    PsycopgTransaction: TypeAlias = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]
    CallersTransaction: TypeAlias = SqlAlchemyTransaction | PsycopgTransaction | Door
